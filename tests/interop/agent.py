"""HashiCorp's own Consul, built from `tests/peers/consul` once for each text of that.

It runs in its development mode: its state is in memory, so it has lost everything when it is started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from waiting import LONGEST_WAIT, until

BUILD = Path(__file__).parent.parent / "peers/consul/build.sh"


def built(binary: Path) -> Path:
    """The program."""
    if not shutil.which("go"):
        pytest.skip("left out: go is not on PATH, so HashiCorp's Consul was not tried; tests/peers/consul builds it")
    text = hashlib.sha256(BUILD.read_bytes()).hexdigest()[:12]
    folder = binary.resolve().parent.parent / "peers-consul" / text
    if not (folder / "consul").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([str(BUILD), str(folder)], check=True, timeout=1500)
    return folder / "consul"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


class Agent:
    """An agent that is its own server, on ports of its own."""

    def __init__(self, program: Path, log: Path) -> None:
        self.program = program
        self.log = log
        self.port, self.serf, self.server = free_ports(3)
        self.start()

    def start(self) -> None:
        options = {
            "-bind": "127.0.0.1",
            "-http-port": self.port,
            "-serf-lan-port": self.serf,
            "-server-port": self.server,
            **dict.fromkeys(("-dns-port", "-grpc-port", "-grpc-tls-port", "-serf-wan-port"), -1),
            "-log-level": "warn",
        }
        words = [f"{name}={value}" for name, value in options.items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.program), "agent", "-dev", *words], stdout=log, stderr=subprocess.STDOUT
            )
        until(self._answers, lambda: f"the agent answers:\n{self.log.read_text()}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.json("/v1/health/service/consul?passing=true"))
        except OSError:
            return False

    def json(self, path: str) -> object:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=LONGEST_WAIT) as response:
            value: object = json.load(response)
            return value

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONGEST_WAIT)
