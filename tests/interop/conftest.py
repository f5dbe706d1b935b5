"""A hub for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub


@pytest.fixture(scope="session")
def binary() -> Path:
    named = os.environ.get("PINNACE_BIN")
    assert named, "PINNACE_BIN names the binary under test; `make test` sets it"
    return Path(named)


@pytest.fixture
def hub(binary: Path, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(binary, tmp_path)
    yield hub
    hub.kill()
