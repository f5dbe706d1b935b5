"""A service in Rust, the example of the crate `pinnace`: in a system beside Python, and by itself."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harbour import Harbour, Up, inherited
from load import Load
from program import Program
from waiting import LONGEST_WAIT, until

Start = Callable[..., Up]

SHIPPING = {"health": "/-/health/ready", "route": "/shipments"}
# Puts the right process into LISTEN_PID, as whoever hands on a socket does.
HAND_ON = 'exec env LISTEN_PID=$$ "$@"'


@pytest.fixture
def system(harbour: Harbour, shipping: str, start: Start) -> Up:
    """A front in Python that calls the service in Rust, which calls a catalogue in Python."""
    harbour.service("front", calls=["shipping"], route="/front")
    harbour.program("shipping", shipping, calls=["catalog"], **SHIPPING)
    harbour.service("catalog")
    return start().settled()


class Alone:
    """The service without a system: on a socket that its processes inherit, or on a port."""

    def __init__(self, shipping: str, folder: Path) -> None:
        self._shipping = shipping
        self._folder = folder
        self.running: list[Program] = []
        self.socket = socket.create_server(("127.0.0.1", 0))

    def service(self, _: str) -> dict[str, Any]:
        """Where it is, as a system tells it."""
        address, port = self.socket.getsockname()
        return {"url": f"http://{address}:{port}"}

    def start(self, descriptor: int | None = None, **environment: str) -> Program:
        """Starts it; a descriptor becomes its descriptor 3."""
        own, _ = inherited(self._folder)
        command = [self._shipping]
        if descriptor is not None:
            command = ["bash", "-c", f"exec 3<&{descriptor}; {HAND_ON}", "sh", *command]
        passed = () if descriptor is None else (descriptor,)
        program = Program(command, self._folder, own | environment, passed)
        self.running.append(program)
        return program

    def close(self) -> None:
        for program in self.running:
            program.kill()
        self.socket.close()

    def answers(self) -> bool:
        port = self.socket.getsockname()[1]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT)
        try:
            connection.request("GET", "/-/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@pytest.fixture
def alone(shipping: str, tmp_path: Path) -> Iterator[Alone]:
    alone = Alone(shipping, tmp_path)
    yield alone
    alone.close()


def names_of_metrics(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


# ---- in a system ----


def test_it_is_as_much_at_home_as_a_python_service(system: Up) -> None:
    assert system.get("/front/call?SHIPPING_URL/shipments") == (200, "[]")
    # Who is asked for the product `headers` tells them: the catalogue got the id that the gateway was given.
    connection = system.connect()
    order = json.dumps({"sku": "headers"})
    connection.request(
        "POST", "/shipments", order, {"Content-Type": "application/json", "X-Request-Id": "from-outside"}
    )
    response = connection.getresponse()
    document = json.loads(response.read())
    assert (response.status, response.headers["X-Request-Id"]) == (201, "from-outside")
    assert document == {"id": 1, "sku": "headers", "weight": None, "has_arrived": False}
    connection.close()
    system.wait_for(r"catalog-1 +\| .* GET /products/headers 200 .* request_id=from-outside$")
    system.wait_for(r"shipping-1 +\| .* POST /shipments 201 .* request_id=from-outside$")
    system.wait_for(r"shipping-1 +\| .* INFO shipping: taken in shipment=1 request_id=from-outside$")


def test_its_management_paths_are_those_of_a_python_service(system: Up) -> None:
    for path in ("/-/health/live", "/-/health/ready"):
        assert system.get(path, "shipping") == system.get(path, "catalog") == (200, '{"status":"ok"}')
    rust, python = (json.loads(system.get("/-/info", name)[1]) for name in ("shipping", "catalog"))
    assert rust.keys() == python.keys() and rust["service"] == "shipping"
    rust_metrics, python_metrics = (system.get("/-/metrics", name)[1] for name in ("shipping", "catalog"))
    assert names_of_metrics(rust_metrics) == names_of_metrics(python_metrics) != set()
    for path in ("/-/info", "/-/metrics"):
        rust_answer, python_answer = (system.request(path, name, "POST") for name in ("shipping", "catalog"))
        assert (rust_answer.status, rust_answer.body) == (python_answer.status, python_answer.body)


def test_a_system_that_ends_lets_it_finish_what_was_begun(system: Up) -> None:
    order(system)
    connection = system.connect("shipping")
    connection.request("GET", "/shipments/1/arrival?within_ms=1500")
    until(lambda: is_busy(system), "the request has arrived")
    system.tell(signal.SIGINT)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["has_arrived"]) == (200, False)
    assert response.headers["Connection"] == "close"
    connection.close()
    assert system.wait() == 0, system.text
    assert not system.left()


def test_a_system_that_is_killed_leaves_nothing_of_it(system: Up) -> None:
    order(system)
    connection = system.connect("shipping")
    connection.request("GET", "/shipments/1/arrival?within_ms=20000")
    until(lambda: is_busy(system), "the request has arrived")
    system.tell(signal.SIGKILL)
    until(lambda: not system.left(), lambda: f"nothing is left: {system.left()}")
    connection.close()


def test_a_catalogue_that_is_gone_is_told_to_the_caller_with_its_name(
    harbour: Harbour, shipping: str, start: Start
) -> None:
    harbour.program("shipping", shipping, env={"CATALOG_URL": "http://127.0.0.1:1"}, **SHIPPING)
    up = start().settled()
    connection = up.connect("shipping")
    connection.request("POST", "/shipments", '{"sku": "anchor"}', {"Content-Type": "application/json"})
    response = connection.getresponse()
    problem = json.loads(response.read())
    connection.close()
    assert (response.status, problem["service"], problem["code"]) == (503, "catalog", "unavailable")
    assert problem["request_id"] == response.headers["X-Request-Id"]
    up.wait_for(rf"shipping-1 +\| .*WARN.*a call failed peer=catalog .*request_id={problem['request_id']}$")


def order(up: Up) -> None:
    connection = up.connect("shipping")
    connection.request("POST", "/shipments", '{"sku": "headers"}', {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 201, response.read()
    connection.close()


def is_busy(up: Up) -> bool:
    return (
        re.search(r"^http_server_active_requests\{.*\} 1$", up.get("/-/metrics", "shipping")[1], re.MULTILINE)
        is not None
    )


# ---- by itself ----


def test_a_process_that_takes_over_its_socket_loses_no_request(alone: Alone) -> None:
    descriptor = alone.socket.fileno()
    old = alone.start(descriptor, LISTEN_FDS="1")
    until(alone.answers, "it answers")
    with Load(alone, "shipping", "/shipments", "GET") as load:
        until(lambda: len(load.answers) > 20, "the old one answers")
        new = alone.start(descriptor, LISTEN_FDS="1")
        new.wait_for("answers")
        old.tell(signal.SIGUSR1)
        assert old.wait() == 0, old.text
        seen = len(load.answers)
        until(lambda: len(load.answers) > seen + 20, "the new one answers")
    assert new.end() == 0


def test_it_ends_with_its_starter(alone: Alone) -> None:
    reading, writing = os.pipe()
    program = alone.start(reading, PINNACE_LIFETIME_FD="3", PORT="0")
    os.close(reading)
    program.wait_for("answers")
    os.close(writing)
    assert program.wait() == 0, program.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_twice_it_ends_at_once(alone: Alone, number: int) -> None:
    program = alone.start(PORT="0")
    port = int(program.wait_for(r"answers.*127\.0\.0\.1:(\d+)")[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT)
    connection.request("POST", "/shipments", '{"sku": "anchor"}', {"Content-Type": "application/json"})
    connection.getresponse().read()
    connection.request("GET", "/shipments/1/arrival?within_ms=20000")
    other = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT)

    def has_begun() -> bool:
        other.request("GET", "/-/metrics")
        return re.search(r"_active_requests\{.*\} 1\n", other.getresponse().read().decode()) is not None

    until(has_begun, "the request has begun")
    program.tell(number)
    program.wait_for("finishing what was begun")
    program.tell(number)
    assert program.wait() == 0
    connection.close()
    other.close()


def test_a_port_in_use_ends_it_as_it_ends_a_command(alone: Alone) -> None:
    port = alone.socket.getsockname()[1]
    program = alone.start(PORT=str(port))
    assert program.wait() == 5
    assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use" in program.text
    assert re.search(rf"hint: .* \(process {os.getpid()}\) listens there", program.text)
    wrong = alone.start(PORT="many")
    assert (wrong.wait(), wrong.lines[-2:]) == (
        2,
        ["error: `many` in PORT is no port", "hint: write a number from 0 to 65535; 0 takes a free port"],
    )


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_request_is_one_line_in_its_log(alone: Alone, form: str) -> None:
    program = alone.start(PORT="0", PINNACE_LOG_FORMAT=form)
    port = int(program.wait_for(r"answers.*127\.0\.0\.1:(\d+)")[1])
    subprocess.run(["curl", "-fsS", f"http://127.0.0.1:{port}/shipments?token=secret"], check=True, capture_output=True)
    line = program.wait_for(r"GET.*/shipments.*").string
    if form == "json":
        record = json.loads(line)
        assert (record["path"], record["status"], record["bytes"], record["service"]) == (
            "/shipments",
            200,
            2,
            "shipping",
        )
    else:
        assert re.search(r"Z shipping: GET /shipments 200 \d+\.\dms 2B peer=127\.0\.0\.1:\d+ request_id=\w{32}$", line)
    assert "secret" not in program.text
