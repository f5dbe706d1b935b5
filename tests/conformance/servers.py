"""The servers that a case runs against: ours, and the references from PyPI. Each runs once for the whole session."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import processes
import wire
from program import Program

APPS = Path(__file__).parent / "apps"

ASGI = ("pinnace", "uvicorn-httptools", "uvicorn-h11", "hypercorn")
WSGI = ("pinnace", "gunicorn")
HTTP2 = ("pinnace", "hypercorn")
# Whoever parses HTTP/1; gunicorn is the strictest of the references.
HTTP1 = (*ASGI, "gunicorn")

READY = {
    "pinnace": r"answers on http://127\.0\.0\.1:(\d+)",
    "uvicorn-httptools": r"running on http://127\.0\.0\.1:(\d+)",
    "uvicorn-h11": r"running on http://127\.0\.0\.1:(\d+)",
    "hypercorn": r"Running on http://127\.0\.0\.1:(\d+)",
    "gunicorn": r"Listening at: http://127\.0\.0\.1:(\d+)",
}
# What a server says when it gives up before it answers.
STARTED = READY | {"gunicorn": r"Booting worker"}


@dataclass(frozen=True)
class Setting:
    """What a server is told, in words that are the same for all of them."""

    root_path: str = ""
    trusts: str | None = None
    believes: bool = True
    lifespan: str | None = None
    ping_interval: float | None = None
    ping_timeout: float | None = None
    environment: tuple[tuple[str, str], ...] = ()


PLAIN = Setting()


class Running(Program):
    """A server that runs an application."""

    def __init__(self, server: str, command: list[str], environment: dict[str, str]) -> None:
        self.server = server
        super().__init__(command, APPS, environment)

    @property
    def port(self) -> int:
        port = int(self.wait_for(READY[self.server])[1])
        self.wait_for(STARTED[self.server])
        return port

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, timeout: float = wire.PATIENCE) -> wire.Wire:
        """A raw connection."""
        return wire.Wire(socket.create_connection(self.address, timeout))

    def get(self, path: str, *headers: str, method: str = "GET") -> wire.Answer:
        """One request on a connection of its own."""
        lines = [f"{method} {path} HTTP/1.1", "Host: test", "Connection: close", *headers, "", ""]
        with self.connect() as connection:
            connection.send("\r\n".join(lines).encode("latin-1"))
            return connection.answer(method)

    def kill(self) -> None:
        """Ends it and what it has started: hypercorn's workers would outlive it."""
        own = processes.children(self.process.pid)
        super().kill()
        for pid in own:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def seen(self, token: str) -> list[list[object]]:
        """What a scripted application has noted down."""
        noted = self.get(f"/seen?token={token}").json()
        assert isinstance(noted, list)
        return noted


@dataclass
class Fleet:
    """All servers that run; started when they are first asked for."""

    binary: Path
    running: dict[tuple[str, str, Setting], Running] = field(default_factory=dict)

    def ask(self, server: str, target: str, setting: Setting = PLAIN) -> Running:
        """The server that runs this application, shared by all cases that want the same."""
        key = (server, target, setting)
        if key not in self.running:
            self.running[key] = self.start(server, target, setting)
        return self.running[key]

    def start(self, server: str, target: str, setting: Setting = PLAIN) -> Running:
        """A server of a case's own."""
        environment = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
        # What the servers would take as their own settings.
        for name in ("FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY", "PORT", "GUNICORN_CMD_ARGS"):
            environment.pop(name, None)
        environment |= dict(setting.environment)
        return Running(server, command(self.binary, server, target, setting), environment)

    def end(self) -> None:
        for running in self.running.values():
            running.kill()


def command(binary: Path, server: str, target: str, setting: Setting) -> list[str]:
    """The command line of a server."""
    if server == "pinnace":
        words = [str(binary), "serve", target, "--python", sys.executable, "--port", "0", "--log-format", "text"]
        words += ["--no-access-log", "--max-body", "64MiB"]
        # What a validator hides behind `*args` has to be said.
        words += ["--interface", "wsgi"] if target.startswith("wsgi_app:") else []
        words += ["--root-path", setting.root_path] if setting.root_path else []
        words += ["--lifespan", setting.lifespan] if setting.lifespan else []
        words += forwarded(setting) + pings(setting)
    elif server.startswith("uvicorn"):
        http, websocket = {"httptools": ("httptools", "websockets-sansio"), "h11": ("h11", "wsproto")}[server[8:]]
        words = [sys.executable, "-m", "uvicorn", target, "--http", http, "--ws", websocket, "--port", "0"]
        words += ["--no-access-log", "--root-path", setting.root_path] if setting.root_path else ["--no-access-log"]
        words += ["--lifespan", setting.lifespan] if setting.lifespan else []
        words += forwarded(setting) + pings(setting)
    elif server == "hypercorn":
        words = [sys.executable, "-m", "hypercorn", target, "--bind", "127.0.0.1:0", "--keep-alive", "2"]
        words += ["--root-path", setting.root_path] if setting.root_path else []
        words += ["--websocket-ping-interval", "1"] if setting.ping_interval else []
    else:
        words = [sys.executable, "-m", "gunicorn", target, "--bind", "127.0.0.1:0", "--worker-class", "gthread"]
        words += ["--threads", "8", "--no-control-socket"]
        words += ["--forwarded-allow-ips", setting.trusts] if setting.trusts is not None else []
    return words


def forwarded(setting: Setting) -> list[str]:
    if not setting.believes:
        return ["--no-proxy-headers"]
    if setting.trusts is None:
        return []
    return ["--forwarded-allow-ips", setting.trusts]


def pings(setting: Setting) -> list[str]:
    words = ["--ws-ping-interval", str(setting.ping_interval)] if setting.ping_interval else []
    return words + (["--ws-ping-timeout", str(setting.ping_timeout)] if setting.ping_timeout else [])


def play(token: str, *steps: object) -> str:
    """The target of a request whose handling is this script; see `apps/asgi_app.py`."""
    import json

    return "/play?" + urlencode({"token": token, "script": json.dumps(steps)}, quote_via=quote)
