"""A shopper's words."""

import uuid
from typing import Any

from django.test import Client


def body(*lines: tuple[int, int], **customer: str) -> dict[str, Any]:
    return {
        "customer": {"name": "Ada", "email": "ada@example.org", "address": "1 Way\nLondon", **customer},
        "lines": [{"product_id": product, "quantity": quantity} for product, quantity in lines],
    }


def order(client: Client, wanted: dict[str, Any], key: str | None = None) -> Any:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return client.post("/orders", wanted, content_type="application/json", headers=headers)


def cancel(client: Client, order_id: str) -> Any:
    return client.post(f"/orders/{order_id}/cancel")


def pointers(answer: Any) -> set[str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    return {mistake["pointer"] for mistake in problem["errors"]}
