"""A hub for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import agent
import py_eureka_client.eureka_basic as eureka
import pytest
from backends import PRESENT
from hub import TOKEN, Hub
from spring import Spring, built


@pytest.fixture
def hub(binary: Path, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(binary, tmp_path)
    yield hub
    hub.kill()


@pytest.fixture(scope="session")
def peers(binary: Path) -> Path:
    return built(binary)


@pytest.fixture(scope="module")
def spring_server(peers: Path) -> Iterator[Spring]:
    """Spring's server, told to answer what is and not what was up to 30 s ago.

    One for each file: for three minutes it tells whoever asks for changes of those that other tests have made.
    """
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


@pytest.fixture
def server(hub: Hub) -> str:
    """The address of our Eureka, as its clients take it."""
    return f"http://operator:{TOKEN}@127.0.0.1:{hub.port}/eureka/"


@pytest.fixture(params=["pinnace", "spring"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of ours, then of Spring Cloud Netflix': the same test, the same result."""
    if request.param == "pinnace":
        server: str = request.getfixturevalue("server")
        yield server
        return
    spring: Spring = request.getfixturevalue("spring_server")
    server = f"http://127.0.0.1:{spring.port}/eureka/"
    yield server

    async def forget() -> None:
        # It runs for all tests.
        for app in (await eureka.get_applications(server)).applications:
            for one in app.instances:
                await eureka.cancel(server, app.name, one.instanceId)

    asyncio.run(forget())
