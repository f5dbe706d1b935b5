"""A hub for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
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
    server = Spring(
        peers,
        "server",
        **{
            "eureka.client.register-with-eureka": False,
            "eureka.client.fetch-registry": False,
            "eureka.server.enable-self-preservation": False,
            "eureka.server.eviction-interval-timer-in-ms": 200,
            "eureka.server.use-read-only-response-cache": False,
            "eureka.server.wait-time-in-ms-when-sync-empty": 0,
        },
    )
    try:
        yield server.started()
    finally:
        server.end()
