"""Fixtures: workers that run for real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

APPS = Path(__file__).parent / "apps"


@pytest.fixture
def apps() -> Path:
    """The folder of the applications under test."""
    return APPS
