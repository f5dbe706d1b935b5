"""Who is measured, on what, beside whom.

Every peer runs as its own documentation advises for speed, with one worker, no access log, and the same application.
The first one named in a suite is ours.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
APPS = HERE / "apps"
# As many as `pinnace serve` has by default.
THREADS = "8"

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {server}
}}
"""
ANSWER = """server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{{"message":"Hello, World!"}}'; }}
  }}"""
# Kept connections to what is behind it, and the headers that Pinnace's gateway sets too.
PROXY = """upstream behind {{ server 127.0.0.1:{behind}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
    }}
  }}"""


# What the rows with an order send: five fields and what is in them.
ORDER = json.dumps(
    {
        "id": 1234,
        "customer": {"name": "Ada Lovelace", "email": "ada@example.org", "vip": True},
        "lines": [{"sku": "AB-1", "quantity": 2, "price": 9.5}, {"sku": "CD-2", "quantity": 1, "price": 120.25}],
        "tags": ["new", "web"],
        "created": "2026-01-02T03:04:05Z",
        "note": "leave at door",
    },
    separators=(",", ":"),
)


@dataclass(frozen=True)
class Ask:
    """The request of a suite: `GET`, or `POST` where it has a body of JSON."""

    path: str = "/"
    body: str | None = None

    def answered_by(self, body: bytes) -> bool:
        """Whether this is the answer: what was sent comes back."""
        expected = {"message": "Hello, World!"} if self.body is None else json.loads(self.body)
        return bool(json.loads(body) == expected)


@dataclass(frozen=True)
class Contender:
    """A server, as a command that listens on `port`."""

    name: str
    command: list[str]
    port: int


@dataclass(frozen=True)
class Suite:
    """Servers that answer the same request."""

    name: str
    about: str
    contenders: list[Contender]
    # Servers that the contenders need, on the side of the load.
    behind: list[Contender] = field(default_factory=list)
    ask: Ask = Ask()


@dataclass
class Field:
    """What the suites are put together from."""

    binary: Path
    environment: Path
    scratch: Path
    next_port: int

    def port(self) -> int:
        self.next_port += 1
        return self.next_port

    def suites(self) -> list[Suite]:
        suites = [
            Suite("asgi-raw", "ASGI without a framework, 27 bytes of JSON", self.asgi("raw_asgi:app")),
            Suite("asgi-fastapi", "FastAPI, `async def`, 27 bytes of JSON", self.asgi("fastapi_app:app")),
            Suite(
                "asgi-fastapi-model",
                "FastAPI, an order of nested models, checked and sent back",
                self.asgi("fastapi_app:app"),
                ask=Ask("/orders", ORDER),
            ),
            Suite(
                "asgi-fastapi-sync",
                "FastAPI, plain `def`, 27 bytes of JSON",
                self.asgi("fastapi_app:app"),
                ask=Ask("/sync"),
            ),
            Suite("wsgi-raw", "WSGI without a framework, 27 bytes of JSON", self.wsgi("raw_wsgi:app")),
            Suite("wsgi-flask", "Flask, 27 bytes of JSON", self.wsgi("flask_app:app")),
            Suite(
                "wsgi-drf",
                "Django REST Framework, an order of nested serializers, checked and sent back",
                self.wsgi("drf_app:app"),
                ask=Ask("/orders", ORDER),
            ),
        ]
        nginx = shutil.which("nginx")
        if nginx is not None:
            suites.append(self.gateway(nginx))
        return suites

    def asgi(self, target: str) -> list[Contender]:
        return [self.pinnace(target), self.uvicorn(target), self.granian(target, "asgi")]

    def wsgi(self, target: str) -> list[Contender]:
        return [self.pinnace(target), self.gunicorn(target), self.granian(target, "wsgi")]

    def pinnace(self, target: str) -> Contender:
        port = self.port()
        command = [self.binary, "serve", target, "--app-dir", APPS, "--python", self.bin("python"), "--port", port]
        return contender("pinnace serve", port, *command, "--workers", 1, "--no-access-log", "--log-format", "json")

    def uvicorn(self, target: str) -> Contender:
        port = self.port()
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return contender("uvicorn", port, self.bin("uvicorn"), target, "--port", port, *options)

    def granian(self, target: str, interface: str) -> Contender:
        port = self.port()
        options = ["--interface", interface, "--workers", 1, "--http", "1", "--no-ws", "--log-level", "warning"]
        return contender("granian", port, self.bin("granian"), target, "--port", port, "--loop", "uvloop", *options)

    def gunicorn(self, target: str) -> Contender:
        port = self.port()
        options = ["-w", 1, "-k", "gthread", "--threads", THREADS, "--keep-alive", 30, "--log-level", "warning"]
        return contender("gunicorn gthread", port, self.bin("gunicorn"), target, "-b", f"127.0.0.1:{port}", *options)

    def gateway(self, nginx: str) -> Suite:
        """One hop through each door to the same nginx, which answers out of its configuration."""
        behind, ours, theirs = self.port(), self.port(), self.port()
        table = self.scratch / "gateway.json"
        route = {"path": "/", "service": "hello", "upstream": f"127.0.0.1:{behind}"}
        table.write_text(json.dumps({"system": "bench", "routes": [route]}))
        gateway = [self.binary, "gateway", "--config", table, "--listen", f"127.0.0.1:{ours}", "--no-access-log"]
        return Suite(
            "gateway",
            "one hop to an nginx that answers 27 bytes of JSON",
            [
                contender("pinnace gateway", ours, *gateway),
                contender("nginx", theirs, *self.nginx(nginx, "door", PROXY.format(port=theirs, behind=behind))),
            ],
            [contender("behind", behind, *self.nginx(nginx, "behind", ANSWER.format(port=behind)))],
        )

    def nginx(self, nginx: str, name: str, server: str) -> list[object]:
        folder = self.scratch / f"nginx-{name}"
        folder.mkdir()
        file = folder / "nginx.conf"
        file.write_text(NGINX.format(folder=folder, server=server))
        return [nginx, "-p", folder, "-e", folder / "error.log", "-c", file]

    def bin(self, program: str) -> Path:
        return self.environment / "bin" / program


def contender(name: str, port: int, *command: object) -> Contender:
    return Contender(name, [str(word) for word in command], port)
