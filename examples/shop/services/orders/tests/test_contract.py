"""The real catalog keeps the promises that the stub of the other tests makes."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.test import Client
from pytest_django import Settings

from orders.calling import RefusedError
from orders.catalog import Catalog
from orders.models import Order
from tests import processes
from tests.shop import body, cancel, order

CATALOG = processes.SERVICE.parent / "catalog"
MISSING_CATALOG = (
    "the real catalog is left out; to have it: python -m venv /tmp/catalog && /tmp/catalog/bin/pip install -r "
    "../catalog/requirements-dev.txt, and CATALOG_PYTHON=/tmp/catalog/bin/python in the environment"
)

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def catalog_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    python = os.environ.get("CATALOG_PYTHON")
    if not python or not CATALOG.is_dir():
        pytest.skip(MISSING_CATALOG)
    database_url = f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.sqlite3'}"
    environment = {**os.environ, "DATABASE_URL": database_url}
    subprocess.run([python, "-m", "alembic", "upgrade", "head"], cwd=CATALOG, env=environment, check=True)
    port = processes.free_port()
    command = [python, "-m", "uvicorn", "catalog.main:app", "--port", str(port), "--log-level", "warning"]
    with processes.running(command, port, CATALOG, DATABASE_URL=database_url) as url:
        yield url


@pytest.fixture
def product(catalog_url: str, settings: Settings) -> Any:
    """One of which there is enough."""
    settings.CATALOG_URL = catalog_url
    settings.CATALOG_READ_SECONDS = 60.0
    listed = requests.get(f"{catalog_url}/api/products?limit=100", timeout=10).json()["items"]
    return next(item for item in listed if item["stock"] >= 10)


def stock(catalog_url: str, product: Any) -> int:
    found: int = requests.get(f"{catalog_url}/api/products/{product['id']}", timeout=10).json()["stock"]
    return found


def test_an_order_takes_stock_at_the_price_of_the_catalogue(client: Client, catalog_url: str, product: Any) -> None:
    answer = order(client, body((product["id"], 2)), "key")
    assert (answer.status_code, answer.json()["status"]) == (201, "placed")
    line = {field: product[field] for field in ("sku", "name", "price_cents")}
    assert answer.json()["lines"] == [{"product_id": product["id"], "quantity": 2, **line}]
    assert answer.json()["total_cents"] == 2 * product["price_cents"]
    assert answer.json()["currency"] == product["currency"]
    Order.objects.update(status="pending")
    assert order(client, body((product["id"], 2)), "key").json()["status"] == "placed"
    assert stock(catalog_url, product) == product["stock"] - 2
    for _ in range(2):
        assert cancel(client, answer.json()["id"]).json()["status"] == "cancelled"
    assert stock(catalog_url, product) == product["stock"]


def test_a_shortage_is_told_as_the_catalogue_tells_it(client: Client, catalog_url: str, product: Any) -> None:
    answer = order(client, body((product["id"], 1000)))
    shortage = {"product_id": product["id"], "wanted": 1000, "available": product["stock"]}
    assert answer.json()["rejection"] == {"reason": "out_of_stock", "lines": [shortage]}
    assert stock(catalog_url, product) == product["stock"]


def test_an_unknown_product_is_unknown(client: Client, product: Any) -> None:
    rejection = order(client, body((product["id"], 1), (2**31 - 1, 1))).json()["rejection"]
    assert rejection["reason"] == "unknown_product"


def test_the_largest_order_fits(client: Client, catalog_url: str, product: Any) -> None:
    answer = order(client, body(*((number, 1) for number in range(1, 101))))
    assert answer.json()["status"] in ("placed", "rejected")
    cancel(client, answer.json()["id"])


def test_nothing_is_held_after_a_release(client: Client, catalog_url: str, product: Any) -> None:
    late = Order.objects.create(idempotency_key="late")
    catalog = Catalog.from_settings("test")
    catalog.release(late.id)
    with pytest.raises(RefusedError):
        catalog.hold(late.id, {product["id"]: 1})
    assert stock(catalog_url, product) == product["stock"]
