"""A `pinnace serve` that runs for the length of a test, in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from served import Served

APPS = Path(__file__).parent / "apps"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service's folder, with the plain ASGI application as `main.py`."""
    shutil.copy(APPS / "asgi_app.py", tmp_path / "main.py")
    return tmp_path


@pytest.fixture
def serve(binary: Path, folder: Path) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(*arguments: str) -> Served:
        served = Served(binary, folder, *arguments)
        running.append(served)
        return served

    yield start
    for served in running:
        served.kill()
