"""An unchanged application under `pinnace serve --registry`, as clients of Consul and Eureka find it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backends import LOSING, Backend
from consul import Consul
from hub import TOKEN, Hub
from processes import workers
from program import Program
from py_eureka_client import eureka_client
from served import Served
from waiting import LONGEST_WAIT, until

APPLICATIONS = {
    "flask": """
import time
from flask import Flask
app = Flask(__name__)
@app.get("/slow")
def slow():
    time.sleep(2)
    return "done"
@app.get("/")
def home():
    return "bread"
""",
    "fastapi": """
import asyncio
from fastapi import FastAPI
app = FastAPI()
@app.get("/slow")
async def slow():
    await asyncio.sleep(2)
    return "done"
@app.get("/")
async def home():
    return "bread"
""",
}


class Serve:
    """Starts applications that register."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary = binary
        self.folder = folder
        self.running: list[Served] = []

    def __call__(self, backend: Backend, *arguments: str, application: str = "flask", **variables: str) -> Served:
        folder = self.folder / application
        folder.mkdir(exist_ok=True)
        (folder / "main.py").write_text(APPLICATIONS[application])
        if backend.name == "embedded-consul":
            variables = {"CONSUL_HTTP_TOKEN": TOKEN, **variables}
        served = Served(self.binary, folder, "--registry", backend.address, *arguments, **variables)
        self.running.append(served)
        return served

    def kill_all(self) -> None:
        for served in self.running:
            served.kill()


@pytest.fixture(params=LOSING)
def backend(request: pytest.FixtureRequest, binary: Path) -> Backend:
    name: str = request.param
    fixtures = {"consul": "consul_agent", "spring": "spring_server"}
    return Backend(binary, name, request.getfixturevalue(fixtures.get(name, "hub")))


@pytest.fixture
def serve(binary: Path, tmp_path: Path) -> Iterator[Serve]:
    serve = Serve(binary, tmp_path)
    yield serve
    serve.kill_all()


def found(backend: Backend, service: str) -> list[dict[str, Any]]:
    """What a client of the registry finds: py-consul or py-eureka-client, which know nothing of Pinnace."""
    assert backend.server is not None
    if "consul" in backend.name:
        consul = Consul(host="127.0.0.1", port=backend.server.port, token=TOKEN)
        _, rows = consul.health.service(service, passing=True)
        return [
            {
                "id": row["Service"]["ID"],
                "place": f"{row['Service']['Address']}:{row['Service']['Port']}",
                "tags": row["Service"]["Tags"],
                "weight": row["Service"]["Weights"]["Passing"],
            }
            for row in rows
        ]
    place = f"127.0.0.1:{backend.server.port}/eureka/"
    server = f"http://shop:{TOKEN}@{place}" if backend.name.startswith("embedded") else f"http://{place}"
    applications = asyncio.run(eureka_client.get_applications(server))
    application = applications.get_application(service.upper())
    return [
        {
            "id": instance.instanceId,
            "place": f"{instance.hostName}:{instance.port.port}",
            "tags": instance.metadata.get("tags", "").split(","),
            "weight": int(instance.metadata["weight"]),
        }
        for instance in (application.up_instances if application else [])
    ]


def fetch(place: str, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://{place}{path}", timeout=LONGEST_WAIT) as response:
        body: bytes = response.read()
        return body.decode()


@pytest.mark.parametrize("application", APPLICATIONS)
def test_an_unchanged_application_is_found_and_leaves_before_it_drains(
    backend: Backend, serve: Serve, application: str
) -> None:
    service = f"bread-{application}"
    served = serve(backend, "--name", service, "--tag", "canary", "--weight", "3", application=application)
    port = served.port
    served.wait_for(rf"registered as {service}-127\.0\.0\.1-{port} at http://127\.0\.0\.1:{port}$")
    assert found(backend, service) == [
        {"id": f"{service}-127.0.0.1-{port}", "place": f"127.0.0.1:{port}", "tags": ["canary"], "weight": 3}
    ]
    assert "bread" in fetch(f"127.0.0.1:{port}")
    answers: list[str] = []
    begun = threading.Thread(target=lambda: answers.append(fetch(f"127.0.0.1:{port}", "/slow")))
    begun.start()
    until(lambda: "_active_requests{" in (text := fetch(f"127.0.0.1:{port}", "/-/metrics")) and begins(text), "it runs")
    served.tell(signal.SIGTERM)
    until(lambda: found(backend, service) == [], "it is out of the registry")
    assert served.process.poll() is None and not answers, "and still finishes what was begun"
    assert served.wait() == 0
    begun.join(LONGEST_WAIT)
    assert "done" in answers[0]


def begins(metrics: str) -> bool:
    rows = [row for row in metrics.splitlines() if row.startswith("http_server_active_requests{")]
    return sum(int(row.split()[-1]) for row in rows) >= 1


def test_whoever_has_just_asked_the_registry_is_answered_by_an_instance_that_leaves(hub: Hub, serve: Serve) -> None:
    backend = Backend(hub.binary, "embedded-consul", hub)
    leaving, staying = (serve(backend, "--name", "bread") for _ in range(2))
    for served in (leaving, staying):
        served.wait_for("registered as")
    stop = threading.Event()
    failures: list[str] = []
    asked = [0]

    def ask() -> None:
        while not stop.is_set():
            places = [one["place"] for one in found(backend, "bread")]
            # Between the answer of a registry and the call there is always a moment.
            stop.wait(0.1)
            for place in places:
                try:
                    asked[0] += fetch(place) == "bread"
                except OSError as error:
                    failures.append(f"{place}: {error}")

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    until(lambda: asked[0] > 20, "they call")
    assert leaving.end() == 0
    before = asked[0]
    until(lambda: asked[0] > before + 20, "they call the other")
    stop.set()
    for caller in callers:
        caller.join(LONGEST_WAIT)
    assert failures == []
    assert [one["place"] for one in found(backend, "bread")] == [f"127.0.0.1:{staying.port}"]


def test_one_that_is_killed_expires_everywhere(
    request: pytest.FixtureRequest, binary: Path, hub: Hub, serve: Serve
) -> None:
    consul, spring = (request.getfixturevalue(name) for name in ("consul_agent", "spring_server"))
    servers = {"embedded-consul": hub, "embedded-eureka": hub, "consul": consul, "spring": spring}
    backends = [(f"killed-{name}", Backend(binary, name, server)) for name, server in servers.items()]
    for service, backend in backends:
        serve(backend, "--name", service).wait_for("registered as")

    def offered() -> list[str]:
        return [service for service, backend in backends if found(backend, service)]

    everywhere = [service for service, _ in backends]
    until(lambda: offered() == everywhere, lambda: f"they are found: {offered()}")
    serve.kill_all()
    assert offered() == everywhere, "nobody has said so yet"
    # A TTL of 10 s.
    until(lambda: offered() == [], lambda: f"they have expired: {offered()}")


def test_one_without_a_worker_is_not_offered(backend: Backend, serve: Serve) -> None:
    served = serve(backend, "--name", "crashing")
    served.wait_for("registered as")
    main = served.folder / "main.py"
    main.write_text("raise RuntimeError('not today')")
    for worker in served.workers():
        os.kill(worker, signal.SIGKILL)
    until(lambda: found(backend, "crashing") == [], "nobody is sent there")
    main.write_text(APPLICATIONS["flask"])
    until(lambda: len(found(backend, "crashing")) == 1, "it is back with its worker")
    assert len(workers(served.process.pid)) == 1
    assert served.end() == 0


def test_a_registry_that_goes_away_is_told_once_and_costs_nothing(hub: Hub, serve: Serve) -> None:
    backend = Backend(hub.binary, "embedded-consul", hub)
    hub.kill()
    served = serve(backend, "--name", "bread")
    assert "bread" in fetch(f"127.0.0.1:{served.port}")
    served.wait_for(r"not registered yet, which is tried again: no connection to 127\.0\.0\.1")
    backend.start_without_memory()
    served.wait_for("registered again")
    hub.kill()
    served.wait_for("the registry is away, the service goes on")
    assert "bread" in fetch(f"127.0.0.1:{served.port}")
    seen = len(served.lines)
    backend.start_without_memory()
    served.wait_for("registered again", after=seen)
    assert len(found(backend, "bread")) == 1
    hub.kill()
    served.wait_for("the registry is away", after=seen)
    assert served.end() == 0, "without a registry it ends as well"
    words = ("not registered yet", "the registry is away", "registered again")
    assert [sum(word in line for line in served.lines) for word in words] == [1, 2, 2], served.text


def test_a_place_is_advertised_as_it_is_given_or_as_the_registry_is_reached(hub: Hub, serve: Serve) -> None:
    backend = Backend(hub.binary, "embedded-consul", hub)
    for arguments, host in (
        (("--host", "0.0.0.0"), "127.0.0.1"),
        (("--host", "0.0.0.0", "--advertise", "bread.internal"), "bread.internal"),
    ):
        served = serve(backend, "--name", "bread", *arguments)
        port = int(served.wait_for(r"answers on http://0\.0\.0\.0:(\d+)")[1])
        served.wait_for(rf"registered as bread-{host}-{port} at http://{host}:{port}$")
        assert [one["place"] for one in found(backend, "bread")] == [f"{host}:{port}"]
        assert served.end() == 0
    served = serve(backend, "--name", "bread", "--advertise", "[::1]:80")
    served.wait_for(r"at http://\[::1\]:80$")
    assert [one["place"] for one in found(backend, "bread")] == ["::1:80"]


def test_an_instances_own_socket_and_id_are_what_is_registered(hub: Hub, binary: Path, tmp_path: Path) -> None:
    backend = Backend(binary, "embedded-consul", hub)
    (tmp_path / "main.py").write_text(APPLICATIONS["fastapi"])
    with socket.create_server(("127.0.0.1", 0)) as shared, socket.create_server(("127.0.0.1", 0)) as own:
        command = f'LISTEN_PID=$$ exec "$0" "$@" 3<&{shared.fileno()} 4<&{own.fileno()}'
        arguments = [str(binary), "serve", "--python", sys.executable, "--name", "bread", "--log-format", "text"]
        served = Program(
            ["bash", "-c", command, *arguments],
            tmp_path,
            {
                **os.environ,
                "LISTEN_FDS": "2",
                "LISTEN_FDNAMES": "service:instance",
                "PINNACE_INSTANCE": "bread-7",
                "PINNACE_REGISTRY": backend.address,
                "CONSUL_HTTP_TOKEN": TOKEN,
            },
            (shared.fileno(), own.fileno()),
        )
        try:
            served.wait_for("registered as bread-7")
            assert [(one["id"], one["place"]) for one in found(backend, "bread")] == [
                ("bread-7", f"127.0.0.1:{own.getsockname()[1]}")
            ]
            served.tell(signal.SIGUSR1)
            until(lambda: found(backend, "bread") == [], "one that retires has left")
            assert served.wait() == 0
        finally:
            served.kill()


@pytest.mark.parametrize(
    ("arguments", "variables", "problem"),
    [
        (("--registry", "https://u:hunter2@registry"), {}, "--registry: registries are spoken to over plain HTTP"),
        (("--registry", "zookeeper"), {}, "--registry: no registry is written like that"),
        ((), {"PINNACE_REGISTRY": "eureka://u:hunter2@h:port"}, "PINNACE_REGISTRY: the address has no valid"),
        (("--registry", "consul"), {"CONSUL_HTTP_ADDR": "https://u:hunter2@h"}, "CONSUL_HTTP_ADDR: registries are"),
        (("--registry", "consul", "--name", "Bread"), {}, "cannot be registered under its name"),
        (("--registry", "consul", "--tag", "a,b"), {}, "without a comma"),
        (("--registry", "consul", "--weight", "0"), {}, "1..=65535"),
        (("--registry", "consul", "--advertise", "http://h"), {}, "is no `HOST` or `HOST:PORT`"),
    ],
)
def test_a_registration_that_cannot_be_is_refused_with_the_reason_and_without_secrets(
    binary: Path, tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str], problem: str
) -> None:
    folder = tmp_path / "bread"
    folder.mkdir()
    (folder / "main.py").write_text(APPLICATIONS["fastapi"])
    done = subprocess.run(
        [str(binary), "serve", "--python", sys.executable, "--port", "0", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=LONGEST_WAIT,
    )
    assert done.returncode == 2, done.stderr
    assert problem in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
