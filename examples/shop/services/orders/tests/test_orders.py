from itertools import chain

import pytest
from django.core.management import call_command
from django.test import Client

from orders.database import database
from orders.models import Order
from tests.shop import body, order, pointers
from tests.stub_catalog import StubCatalog
from tests.stub_shipping import StubShipping

pytestmark = pytest.mark.django_db


def test_an_order_keeps_names_and_prices_as_they_were(client: Client, catalog: StubCatalog) -> None:
    answer = order(client, body((1, 2), (2, 1)))
    assert answer.status_code == 201
    placed = answer.json()
    assert placed["status"] == "placed"
    assert placed["lines"] == [
        {"product_id": 1, "quantity": 2, "sku": "SKU-1", "name": "Product 1", "price_cents": 1250},
        {"product_id": 2, "quantity": 1, "sku": "SKU-2", "name": "Product 2", "price_cents": 2500},
    ]
    assert (placed["total_cents"], placed["currency"], placed["rejection"]) == (5000, "EUR", None)
    assert catalog.held == {placed["id"]: {1: 2, 2: 1}}
    catalog.price_cents = 99
    assert client.get(answer.headers["Location"]).json() == placed


def test_the_same_key_and_body_are_the_same_order(client: Client, catalog: StubCatalog) -> None:
    first = order(client, body((1, 2), (2, 1)), "key")
    again = order(client, body((2, 1), (1, 2), email="ADA@example.org"), "key")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Order.objects.count() == len(catalog.held) == 1
    assert catalog.methods().count("PUT") == 1


def test_the_same_key_with_another_body_is_refused(client: Client, catalog: StubCatalog) -> None:
    order(client, body((1, 2)), "key")
    answer = order(client, body((1, 3)), "key")
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_without_a_key_the_answer_brings_one(client: Client, catalog: StubCatalog) -> None:
    first = client.post("/orders", body((1, 1)), content_type="application/json")
    again = order(client, body((1, 1)), first.headers["Idempotency-Key"])
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


def test_a_shortage_rejects_the_order_and_says_what_is_left(client: Client, catalog: StubCatalog) -> None:
    answer = order(client, body((1, 1), (2, 11)))
    assert answer.status_code == 201
    assert answer.json()["status"] == "rejected"
    shortage = {"product_id": 2, "wanted": 11, "available": 10}
    assert answer.json()["rejection"] == {"reason": "out_of_stock", "lines": [shortage]}
    assert answer.json()["total_cents"] is None
    assert catalog.held == {}


def test_an_unknown_product_rejects_the_order(client: Client, catalog: StubCatalog) -> None:
    rejection = order(client, body((1, 1), (77, 1))).json()["rejection"]
    assert rejection["reason"] == "unknown_product"
    assert [line["product_id"] for line in rejection["lines"]] == [77]
    assert catalog.methods() == ["GET"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"lines": []}, "/lines"),
        ({"lines": [{"product_id": 1, "quantity": 0}]}, "/lines/0/quantity"),
        ({"lines": [{"product_id": 1, "quantity": 1}, {"product_id": "x", "quantity": 1}]}, "/lines/1/product_id"),
        ({"lines": [{"product_id": 2**31, "quantity": 1}]}, "/lines/0/product_id"),
        ({"lines": [{"product_id": 1, "quantity": 1}] * 2}, "/lines"),
        ({"lines": [{"product_id": n, "quantity": 1} for n in range(1, 102)]}, "/lines"),
        ({"lines": [{"product_id": 1, "quantity": 1, "price": 1}]}, "/lines/0/price"),
        ({"lines": ["x"]}, "/lines/0"),
        ({"customer": "Ada"}, "/customer"),
        ({"customer": body(email="nowhere")["customer"]}, "/customer/email"),
        ({"customer": body(name="  ")["customer"]}, "/customer/name"),
        ({"customer": body(address="a\0b")["customer"]}, "/customer/address"),
        ({"a/b~c": 1}, "/a~1b~0c"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    client: Client, catalog: StubCatalog, change: dict[str, object], pointer: str
) -> None:
    answer = order(client, {**body((1, 1)), **change})
    assert answer.status_code == 400
    assert pointers(answer) == {pointer}
    assert not Order.objects.exists()


def test_all_mistakes_are_told_at_once(client: Client) -> None:
    wanted = {**body((1, 0), email="nowhere"), "colour": "red"}
    assert pointers(order(client, wanted)) == {"/customer/email", "/lines/0/quantity", "/colour"}


@pytest.mark.parametrize("key", ["a b", "x" * 201, "ä"])
def test_a_bad_key_is_refused(client: Client, key: str) -> None:
    assert pointers(order(client, body((1, 1)), key)) == {"/Idempotency-Key"}


@pytest.mark.parametrize("document", ["[]", "null", "7", '"x"'])
def test_a_body_that_is_no_object_is_refused(client: Client, document: str) -> None:
    assert pointers(client.post("/orders", document, content_type="application/json")) == {""}


def test_every_error_is_a_problem_document(client: Client) -> None:
    answers = {
        400: client.post("/orders", "{", content_type="application/json"),
        404: client.get("/orders/00000000-0000-0000-0000-000000000000"),
        405: client.delete("/orders"),
        413: client.post("/orders", '"' + "x" * 70_000 + '"', content_type="application/json"),
        415: client.post("/orders", "x=1", content_type="application/x-www-form-urlencoded"),
    }
    for status, answer in [*answers.items(), (404, client.get("/orders/17")), (404, client.get("/nowhere"))]:
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.json()["title"]
        assert answer.json()["detail"]


def test_a_list_shows_every_order_of_one_address_once_newest_first(client: Client, catalog: StubCatalog) -> None:
    catalog.stock[1] = 100
    made = [order(client, body((1, 1))).json()["id"] for _ in range(7)]
    order(client, body((1, 1), email="bob@example.org"))
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/orders", {"email": "Ada@example.org", "limit": "3", **cursor}).json()
        pages.append([item["id"] for item in page["items"]])
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [*chain(*pages)] == made[::-1]
    back = client.get("/orders", {"email": "ada@example.org", "limit": "3", "cursor": page["previous"]}).json()
    assert [item["id"] for item in back["items"]] == pages[1]


def test_a_list_wants_an_address(client: Client) -> None:
    assert pointers(client.get("/orders")) == {"/email"}


@pytest.mark.parametrize("cursor", ["x", "cD1qdW5r", "ä"])
def test_a_bad_cursor_is_refused(client: Client, cursor: str) -> None:
    assert pointers(client.get("/orders", {"email": "a@b.example", "cursor": cursor})) == {"/cursor"}


def test_a_request_id_goes_to_other_services_and_back(
    client: Client, catalog: StubCatalog, shipping: StubShipping
) -> None:
    headers = {"X-Request-Id": "abc-123"}
    answer = client.post("/orders", body((1, 1)), content_type="application/json", headers=headers)
    assert answer.headers["X-Request-Id"] == "abc-123"
    assert {call.request_id for call in [*catalog.calls, *shipping.calls]} == {"abc-123"}
    made = client.get("/healthz", headers={"X-Request-Id": "a\tb"}).headers["X-Request-Id"]
    assert len(made) == 36


def test_the_migrations_make_what_the_models_say() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_database_is_named_by_its_url() -> None:
    sqlite = database("sqlite:////var/lib/orders.sqlite3")
    assert sqlite["NAME"] == "/var/lib/orders.sqlite3"
    assert sqlite["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    postgres = database("postgresql://ada:s%40crets@db:5433/orders?sslmode=require")
    assert (postgres["ENGINE"], postgres["PASSWORD"]) == ("django.db.backends.postgresql", "s@crets")
    assert postgres["OPTIONS"] == {"sslmode": "require"}
