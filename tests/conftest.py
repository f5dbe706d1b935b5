"""What the tests of whole programs share; their helpers are in `support`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def binary() -> Path:
    named = os.environ.get("PINNACE_BIN")
    assert named, "PINNACE_BIN names the binary under test; `make test` sets it"
    return Path(named)
