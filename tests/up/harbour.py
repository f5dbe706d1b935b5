"""A folder with a `pinnace.toml` and tiny services, and the `pinnace up` that runs in it, as a test holds them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from processes import marked, workers
from program import Program
from waiting import LONGEST_WAIT, until

APPS = Path(__file__).parent / "apps"
# What would lead a program of ours or pip elsewhere.
FOREIGN = ("PINNACE_", "PIP_", "PYTHON", "VIRTUAL_ENV", "XDG_", "LISTEN_")


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


class Harbour:
    """The folder of a system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = '[system]\nname = "harbour"\n'

    def add(self, text: str) -> None:
        """Adds to the manifest as it stands."""
        self.text += text
        (self.folder / "pinnace.toml").write_text(self.text)

    def service(self, name: str, app: str = "asgi_app.py", **keys: object) -> Path:
        """Adds a hosted service; its environment is that of the tests unless `venv = None` is given."""
        folder = self._folder(name)
        shutil.copy(APPS / app, folder / "main.py")
        self._table(name, {"venv": sys.prefix, **keys})
        return folder

    def program(self, name: str, *command: str, **keys: object) -> Path:
        """Adds a service that is a program of its own: `program.py`, or what is given."""
        folder = self._folder(name)
        shutil.copy(APPS / "http_program.py", folder / "program.py")
        self._table(name, {"command": list(command) or [sys.executable, "program.py"], **keys})
        return folder

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _table(self, name: str, keys: dict[str, object]) -> None:
        rows = [f"{key} = {toml(value)}\n" for key, value in keys.items() if value is not None]
        self.add(f"\n[service.{name}]\n{''.join(rows)}")


def edit(file: Path, old: str, new: str) -> None:
    """Changes a file as an editor does: the new one takes the place of the old one at once.

    Its size changes too: within one second, Python tells files of one size from each other no better than their code.
    """
    text = file.read_text()
    assert old in text and len(old) != len(new)
    beside = file.with_name(file.name + "~")
    beside.write_text(text.replace(old, new))
    beside.rename(file)


def inherited(runtime: Path) -> tuple[dict[str, str], str]:
    """The environment of a `pinnace up` and of all that it starts, and the mark in it by which they are found."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    identity = uuid.uuid4().hex
    return own | {"XDG_RUNTIME_DIR": str(runtime), "MARK": identity}, f"MARK={identity}"


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Up(Program):
    """A `pinnace up`; also what its processes have inherited, so that a test can see whether one is left."""

    def __init__(self, binary: Path, folder: Path, *arguments: str, **environment: str) -> None:
        self.binary = binary
        self.folder = folder
        # The path of a socket is short.
        self.runtime = Path(tempfile.mkdtemp(prefix="up-"))
        own, self.mark = inherited(self.runtime)
        self.environment = own | environment
        addresses: tuple[str, ...] = () if "--gateway" in arguments else ("--gateway", "127.0.0.1:0")
        command = [str(binary), "up", "--hub", "127.0.0.1:0", *addresses, *arguments]
        super().__init__(command, folder, self.environment)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another `pinnace` in the same folder, as from a second terminal."""
        return subprocess.run(
            [str(self.binary), *arguments],
            cwd=self.folder,
            env=self.environment | {"MARK": ""},
            capture_output=True,
            text=True,
            timeout=LONGEST_WAIT,
            check=False,
        )

    def begun(self) -> Up:
        """Once it can be asked."""
        self.wait_for(": starting ")
        return self

    def settled(self) -> Up:
        """Once every service is ready or given up."""
        self.wait_for(r"^hub +http://")
        return self

    def ps(self) -> dict[str, Any]:
        ended = self.command("ps", "--json")
        assert ended.returncode == 0, ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def service(self, name: str) -> dict[str, Any]:
        return next(service for service in self.ps()["services"] if service["name"] == name)

    def is_in(self, name: str, state: str) -> bool:
        return bool(self.service(name)["state"] == state)

    def until_in(self, name: str, state: str) -> dict[str, Any]:
        until(lambda: self.is_in(name, state), lambda: f"{name} {state}; it is {self.service(name)}\n{self.text}")
        return self.service(name)

    def leader(self, name: str) -> int:
        """The process that leads the only instance of a service."""
        (instance,) = self.service(name)["instances"]
        return int(instance["pid"])

    def workers(self, name: str) -> set[int]:
        return {pid for instance in self.service(name)["instances"] for pid in workers(instance["pid"])}

    def connect(self, name: str = "gateway") -> http.client.HTTPConnection:
        address = urlsplit(self.service(name)["url"])
        assert address.hostname and address.port
        return http.client.HTTPConnection(address.hostname, address.port, timeout=LONGEST_WAIT)

    def request(
        self, path: str, name: str = "gateway", method: str = "GET", headers: dict[str, str] | None = None
    ) -> Answer:
        """What the gateway answers, or the service that is named."""
        connection = self.connect(name)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, name: str = "gateway") -> tuple[int, str]:
        answer = self.request(path, name)
        return answer.status, answer.text

    def hub(self, path: str) -> Any:
        token = (self.folder / ".pinnace/run/hub-token").read_text().strip()
        answer = self.request(path, "hub", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    def left(self) -> set[int]:
        """Processes of it that live."""
        return marked(self.mark)

    def close(self) -> None:
        """Ends what a failed test has left, and holds every test to leaving nothing."""
        was_running = self.process.poll() is None
        if was_running:
            self.process.kill()
            self.process.wait(LONGEST_WAIT)
        try:
            until(lambda: not self.left(), lambda: f"nothing is left of it: {self.left()}")
        finally:
            for pid in self.left():
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.runtime, ignore_errors=True)
