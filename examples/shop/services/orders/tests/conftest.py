from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.stub_catalog import StubCatalog, serving


@pytest.fixture
def catalog(settings: Settings) -> Iterator[StubCatalog]:
    with serving() as catalog:
        settings.CATALOG_URL = catalog.url
        settings.CATALOG_READ_SECONDS = 60.0
        yield catalog


@pytest.fixture
def nobody_there(settings: Settings) -> None:
    settings.CATALOG_URL = "http://127.0.0.1:1"
