"""A real `pinnace hub`, as foreign clients meet it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import re
import subprocess
import threading
from pathlib import Path

from waiting import LONGEST_WAIT

TOKEN = "0123456789abcdef0123456789abcdef"


def service_token(service: str) -> str:
    """The token that `up` gives a service."""
    return f"{service}.{hmac.new(TOKEN.encode(), f'pinnace service {service}'.encode(), hashlib.sha256).hexdigest()}"


class Hub:
    """A hub on a port of its own; nobody supervises it."""

    def __init__(self, binary: Path, folder: Path, *arguments: str) -> None:
        self.binary = binary
        self.folder = folder
        self.arguments = arguments
        self.port = 0
        self.dns_port = 0
        self.start()

    def start(self) -> None:
        token = self.folder / "token"
        token.write_text(TOKEN)
        self.process = subprocess.Popen(
            [
                *(str(self.binary), "hub", "--port", str(self.port), "--data", str(self.folder / "data")),
                *("--dns", f"127.0.0.1:{self.dns_port}"),
                *("--control", str(self.folder / "none.sock"), "--token-file", str(token), "--log-format", "text"),
                *self.arguments,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"127\.0\.0\.1:(\d+)", line):
                if "resolvers" in line:
                    self.dns_port = int(found[1])
                else:
                    self.port = int(found[1])
            if "the hub answers" in line:
                break
        else:
            raise AssertionError("the hub ended")
        # A pipe that nobody reads would fill.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONGEST_WAIT)

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, token: str = TOKEN, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_WAIT)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"X-Consul-Token": token, **named})
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return response.status, fields, response.read().decode()
        finally:
            connection.close()

    def json(self, path: str) -> object:
        status, _, body = self.ask("GET", path, Accept="application/json")
        assert status == 200, f"{path}: {status} {body}"
        value: object = json.loads(body)
        return value
