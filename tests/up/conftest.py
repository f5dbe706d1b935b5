"""Systems that run for the length of a test, or of the tests of one file, in folders of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harbour import Harbour, Up


@pytest.fixture(scope="session")
def shipping(binary: Path) -> str:
    """The example of the crate `pinnace`."""
    example = binary.parent / "examples/shipping"
    assert example.exists(), "`cargo build --package pinnace --example shipping` makes it; `make test` does"
    return str(example)


@pytest.fixture
def harbour(tmp_path: Path) -> Harbour:
    """A folder for a system."""
    return Harbour(tmp_path)


@pytest.fixture
def start(binary: Path, harbour: Harbour) -> Iterator[Callable[..., Up]]:
    """Starts `pinnace up` there."""
    running: list[Up] = []

    def start(*arguments: str, **environment: str) -> Up:
        up = Up(binary, harbour.folder, *arguments, **environment)
        running.append(up)
        return up

    yield start
    for up in running:
        up.close()
