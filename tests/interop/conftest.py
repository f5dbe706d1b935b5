"""A hub for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub


@pytest.fixture
def hub(binary: Path, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(binary, tmp_path)
    yield hub
    hub.kill()
