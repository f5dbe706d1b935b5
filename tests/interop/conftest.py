"""A hub for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import agent
import pytest
from backends import PRESENT
from hub import Hub
from spring import Spring, built


@pytest.fixture
def hub(binary: Path, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(binary, tmp_path)
    yield hub
    hub.kill()


@pytest.fixture(scope="session")
def peers(binary: Path) -> Path:
    return built(binary)


@pytest.fixture(scope="session")
def spring_server(peers: Path) -> Iterator[Spring]:
    """Spring's server, told to answer what is and not what was up to 30 s ago."""
    server = Spring(peers, "server", **PRESENT)
    try:
        yield server.started()
    finally:
        server.end()


@pytest.fixture(scope="session")
def consul_agent(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[agent.Agent]:
    started = agent.Agent(agent.built(binary), tmp_path_factory.mktemp("consul") / "log")
    yield started
    started.kill()
