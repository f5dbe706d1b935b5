from collections.abc import Iterator

import pytest
from flask import Flask

from storefront.app import create_app
from storefront.settings import Settings
from tests.fakes import FakeCatalog, FakeOrders, FakeShipping
from tests.shopper import Shopper


@pytest.fixture
def catalog() -> Iterator[FakeCatalog]:
    fake = FakeCatalog()
    yield fake
    fake.stop()


@pytest.fixture
def orders() -> Iterator[FakeOrders]:
    fake = FakeOrders()
    yield fake
    fake.stop()


@pytest.fixture
def shipping() -> Iterator[FakeShipping]:
    fake = FakeShipping()
    yield fake
    fake.stop()


@pytest.fixture
def app(catalog: FakeCatalog, orders: FakeOrders, shipping: FakeShipping) -> Flask:
    return create_app(Settings(catalog.url, orders.url, shipping.url, secret_key="a key for tests"))


@pytest.fixture
def shopper(app: Flask) -> Shopper:
    return Shopper(app)
