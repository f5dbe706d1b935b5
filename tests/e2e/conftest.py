"""The shop runs once for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from shop import Shop


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    named = os.environ.get("PINNACE_BIN")
    assert named, "PINNACE_BIN names the binary under test; `make test` sets it"
    binary = Path(named).resolve()
    shop = Shop(binary, binary.parent.parent / "e2e/shop")
    try:
        shop.start()
        yield shop
    finally:
        shop.kill()


@pytest.fixture
def browser(shop: Shop) -> Iterator[Browser]:
    with Browser(shop.gateway) as browser:
        yield browser
