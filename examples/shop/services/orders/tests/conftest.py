from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.stub import serving
from tests.stub_catalog import StubCatalog
from tests.stub_shipping import StubShipping

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def catalog(settings: Settings) -> Iterator[StubCatalog]:
    with serving(StubCatalog()) as catalog:
        settings.CATALOG_URL = catalog.url
        settings.CATALOG_READ_SECONDS = 60.0
        yield catalog


@pytest.fixture(autouse=True)
def shipping(settings: Settings) -> Iterator[StubShipping]:
    """There for every test: none is about an order without parcels unless it says so."""
    with serving(StubShipping()) as shipping:
        settings.SHIPPING_URL = shipping.url
        settings.SHIPPING_READ_SECONDS = 60.0
        yield shipping


@pytest.fixture
def nobody_there(settings: Settings) -> None:
    settings.CATALOG_URL = NOWHERE
