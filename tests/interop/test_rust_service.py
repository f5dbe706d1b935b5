"""A service in Rust that registers by itself, as clients of Consul and Eureka find it; Python's are in test_serve."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backends import Backend
from hub import TOKEN, Hub
from program import Program
from test_serve import backend, fetch, found
from waiting import LONGEST_WAIT, until

__all__ = ["backend"]

Start = Callable[..., tuple[Program, int]]


@pytest.fixture
def start(binary: Path, tmp_path: Path) -> Iterator[Start]:
    example = binary.parent / "examples/shipping"
    assert example.exists(), "`cargo build --package pinnace --example shipping` makes it; `make test` does"
    running: list[Program] = []

    def start(backend: Backend, name: str, **variables: str) -> tuple[Program, int]:
        environment = {
            "PINNACE_REGISTRY": backend.address,
            "PINNACE_SERVICE": name,
            "CONSUL_HTTP_TOKEN": TOKEN if backend.name == "embedded-consul" else "",
            "PORT": "0",
        }
        program = Program([str(example)], tmp_path, environment | variables)
        running.append(program)
        return program, int(program.wait_for(r"answers.*127\.0\.0\.1:(\d+)")[1])

    yield start
    for program in running:
        program.kill()


def ship(port: int, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT)
    for _ in range(count):
        connection.request("POST", "/shipments", '{"sku": "anchor"}', {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 201, response.read()
        response.read()
    connection.close()


def test_it_is_found_and_leaves_before_it_drains(backend: Backend, start: Start) -> None:
    program, port = start(backend, "parcels")
    place = f"127.0.0.1:{port}"
    program.wait_for(rf'"registered","id":"parcels-127\.0\.0\.1-{port}","endpoint":"http://{place}"')
    (instance,) = found(backend, "parcels")
    assert (instance["id"], instance["place"], instance["weight"]) == (f"parcels-127.0.0.1-{port}", place, 1)
    ship(port, 1)
    answers: list[str] = []
    begun = threading.Thread(target=lambda: answers.append(fetch(place, "/shipments/1/arrival?within_ms=3000")))
    begun.start()
    until(lambda: 'http_server_active_requests{service_name="parcels"} 1' in fetch(place, "/-/metrics"), "it has begun")
    program.tell(signal.SIGTERM)
    until(lambda: found(backend, "parcels") == [], "it is out of the registry")
    assert program.process.poll() is None and not answers, "and still finishes what was begun"
    # Who has asked the registry a moment ago is still answered.
    assert fetch(place, "/-/health/live")
    assert program.wait() == 0
    begun.join(LONGEST_WAIT)
    assert json.loads(answers[0])["has_arrived"] is False


def test_a_registry_that_goes_away_costs_nothing_and_its_end_is_not_held_up(hub: Hub, start: Start) -> None:
    backend = Backend(hub.binary, "embedded-consul", hub)
    hub.kill()
    program, port = start(backend, "parcels")
    program.wait_for("not registered yet, which is tried again")
    assert fetch(f"127.0.0.1:{port}", "/shipments") == "[]"
    backend.start_without_memory()
    program.wait_for("registered again")
    assert len(found(backend, "parcels")) == 1
    hub.kill()
    program.wait_for("the registry is away, the service goes on")
    assert fetch(f"127.0.0.1:{port}", "/shipments") == "[]"
    began = time.monotonic()
    assert program.end() == 0
    # A second for the registry, two for those who do not know yet.
    assert time.monotonic() - began < 5


def test_one_that_is_not_ready_is_not_offered(hub: Hub, start: Start) -> None:
    backend = Backend(hub.binary, "embedded-consul", hub)
    start(backend, "catalog")
    program, port = start(backend, "parcels")
    program.wait_for('"registered"')
    assert len(found(backend, "parcels")) == 1
    # The example is not ready once its desk is full.
    ship(port, 10_000)
    until(lambda: found(backend, "parcels") == [], "it is out of the registry")
    assert len(found(backend, "catalog")) == 1
    assert program.end() == 0


@pytest.mark.parametrize(
    ("address", "reason"),
    [("https://user:secret@consul", "TLS"), ("zookeeper://a", "PINNACE_REGISTRY: ")],
)
def test_an_address_that_is_none_ends_it_without_a_secret(
    binary: Path, tmp_path: Path, address: str, reason: str
) -> None:
    example = binary.parent / "examples/shipping"
    program = Program([str(example)], tmp_path, {"PINNACE_REGISTRY": address, "PORT": "0"})
    assert program.wait() == 2
    assert reason in program.text and "secret" not in program.text
