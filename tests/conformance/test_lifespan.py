"""The lifespan protocol (ASGI Lifespan spec 2.0): each case has a server of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from conftest import on
from servers import Running, Setting
from test_asgi_life import ask

SERVERS = ("pinnace", "uvicorn-httptools", "hypercorn")
STARTUP = "ASGI Lifespan: Startup - receive event"
SHUTDOWN = "ASGI Lifespan: Shutdown - receive event"
SCOPE = "ASGI Lifespan: Scope"
Started = Callable[..., Running]


@on(*SERVERS)
@pytest.mark.spec(SCOPE)
def test_it_frames_the_requests(server: str, started: Started) -> None:
    running = started(server, "lifespan_app:well")
    with running.connect() as connection:
        connection.send(ask("/slow"))
        running.wait_for("request begun")
        running.tell(signal.SIGTERM)
        assert connection.answer().body == b"hello"
    assert running.wait() in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    said = [line for line in running.lines if line.startswith(("heard", "started", "request", "stopped"))]
    assert said == [
        "heard lifespan.startup",
        "started",
        "request begun",
        "request ended",
        "heard lifespan.shutdown",
        "stopped",
    ]


@on(*SERVERS)
@pytest.mark.spec("ASGI Lifespan: Startup Failed - send event")
def test_a_failed_startup_is_told_and_ends_the_server(server: str, started: Started) -> None:
    running = started(server, "lifespan_app:fails")
    assert running.wait() != 0
    assert running.says("the database is not there"), running.text


@on(*SERVERS)
@pytest.mark.spec(SCOPE)
@pytest.mark.parametrize("application", ["raises", "returns", "ends_early"])
def test_who_does_not_know_it_is_served(server: str, started: Started, application: str) -> None:
    running = started(server, f"lifespan_app:{application}")
    assert running.get("/").body == b"hello"
    assert running.end() in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


@on("pinnace", "uvicorn-httptools")
@pytest.mark.spec(SCOPE)
def test_where_it_is_demanded_an_exception_ends_the_server(server: str, started: Started) -> None:
    running = started(server, "lifespan_app:raises", Setting(lifespan="on"))
    assert running.wait() != 0


@on("pinnace", "uvicorn-httptools")
@pytest.mark.spec(SCOPE)
def test_where_it_is_off_nothing_is_heard(server: str, started: Started) -> None:
    running = started(server, "lifespan_app:well", Setting(lifespan="off"))
    assert running.get("/").body == b"hello"
    running.end()
    assert not running.says("^heard")


@on(*SERVERS)
@pytest.mark.spec(SHUTDOWN)
@pytest.mark.parametrize("application", ["raises_late", "fails_late"])
def test_a_shutdown_that_fails_is_told(server: str, started: Started, application: str) -> None:
    running = started(server, f"lifespan_app:{application}")
    assert running.get("/").body == b"hello"
    running.end()
    word = {"raises_late": "raised by the shutdown", "fails_late": "the cache could not be written"}[application]
    assert running.says(word), running.text


@on(*SERVERS)
@pytest.mark.spec("ASGI Lifespan: Lifespan State")
def test_it_runs_on_the_loop_of_the_requests(server: str, started: Started) -> None:
    running = started(server, "lifespan_app:background")
    assert running.get("/").body == b"same loop"
