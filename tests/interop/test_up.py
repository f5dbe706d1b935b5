"""A system whose manifest names a real registry: its services are there, and gone with it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from backends import Backend
from program import Program
from waiting import LONGEST_WAIT, until

APPLICATION = """
import json
import os

def app(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps(dict(os.environ)).encode()]
"""


@pytest.fixture(params=["consul", "spring"])
def backend(request: pytest.FixtureRequest, binary: Path) -> Backend:
    name: str = request.param
    return Backend(binary, name, request.getfixturevalue({"consul": "consul_agent", "spring": "spring_server"}[name]))


@pytest.fixture
def up(binary: Path, tmp_path: Path, backend: Backend) -> Iterator[Program]:
    manifest = f"""
[system]
name = "shop"
[engines]
discovery = "{backend.address}"
[service.breads]
venv = "{sys.prefix}"
route = "/"
"""
    (tmp_path / "breads").mkdir()
    (tmp_path / "breads/main.py").write_text(APPLICATION)
    (tmp_path / "pinnace.toml").write_text(manifest)
    # The path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="up-") as runtime:
        free = ("--hub", "127.0.0.1:0", "--gateway", "127.0.0.1:0")
        variables = {"XDG_RUNTIME_DIR": runtime}
        program = Program([str(binary), "up", *free], tmp_path, variables | {"PATH": "/usr/bin:/bin"})
        program.wait_for(r"^hub +http://")
        try:
            yield program
        finally:
            program.kill()


def test_its_services_register_there_and_leave_when_it_ends(
    up: Program, backend: Backend, binary: Path, tmp_path: Path
) -> None:
    until(lambda: backend.known_ids("breads") == ["breads-1"], lambda: f"it is there:\n{up.text}")

    def pinnace(*arguments: str) -> str:
        environment = {"XDG_RUNTIME_DIR": runtime_of(up), "PATH": "/usr/bin:/bin"}
        command = [str(binary), *arguments]
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONGEST_WAIT, check=True
        )
        return ended.stdout

    pinnace("scale", "breads=2")
    until(lambda: backend.known_ids("breads") == ["breads-1", "breads-2"], "both are there")
    [service] = [one for one in json.loads(pinnace("ps", "--json"))["services"] if one["name"] == "breads"]
    with urllib.request.urlopen(service["url"], timeout=LONGEST_WAIT) as answer:
        found = json.load(answer)
    place = f"127.0.0.1:{backend.server.port}" if backend.server else ""
    if backend.name == "consul":
        assert found["CONSUL_HTTP_ADDR"] == place and "EUREKA_SERVER" not in found
    else:
        assert found["EUREKA_SERVER"] == f"http://{place}/eureka" and "CONSUL_HTTP_ADDR" not in found
    pinnace("scale", "breads=1")
    until(lambda: backend.known_ids("breads") == ["breads-1"], "one has left")
    assert up.end() == 0, up.text
    assert backend.known_ids("breads") == []


def runtime_of(up: Program) -> str:
    """Where its socket is."""
    environment = Path(f"/proc/{up.process.pid}/environ").read_bytes().split(b"\0")
    return next(pair for pair in environment if pair.startswith(b"XDG_RUNTIME_DIR=")).split(b"=", 1)[1].decode()
