"""A `pinnace hub` of its own, as the soak holds it, and just enough of HTTP and DNS to be unkind to it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import shutil
import socket
import struct
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import Any

from system import SoakError, free_port, until

TOKEN = "0123456789abcdef0123456789abcdef"
LONGEST = 20.0


def service_token(service: str) -> str:
    """The token that `up` gives a service."""
    return f"{service}.{hmac.new(TOKEN.encode(), f'pinnace service {service}'.encode(), hashlib.sha256).hexdigest()}"


class Registry:
    """A hub that nobody supervises, on ports that it keeps over its lives."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "token").write_text(TOKEN)
        self.port, self.dns = free_port(), free_port()
        self.panics: list[str] = []
        self.last_lines: deque[str] = deque(maxlen=20)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [
            *(str(self.binary), "hub", "--port", str(self.port), "--dns", f"127.0.0.1:{self.dns}"),
            *("--data", str(self.folder / "data"), "--control", str(self.folder / "none.sock")),
            *("--token-file", str(self.folder / "token"), "--log-format", "text"),
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        until(lambda: self.answers() or not self.lives(), "the hub answers", LONGEST)
        if not self.lives():
            raise SoakError(f"the hub does not start: {' / '.join(self.last_lines)}")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.last_lines.append(line.rstrip())
            if "panicked" in line:
                self.panics.append(line.rstrip())

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/v1/status/leader")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, document: object = None, patience: float = LONGEST) -> tuple[int, int, bytes]:
        """Status, index and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            body = None if document is None else json.dumps(document)
            fields = {"X-Consul-Token": TOKEN, "Accept": "application/json", "Content-Type": "application/json"}
            connection.request(method, path, body, fields)
            response = connection.getresponse()
            return response.status, int(response.getheader("X-Consul-Index") or 0), response.read()
        finally:
            connection.close()

    def told(self, path: str) -> Any:
        status, _, body = self.ask("GET", path)
        if status != 200:
            raise SoakError(f"GET {path}: {status} {body[:200]!r}")
        return json.loads(body)


class Connection:
    """A connection on which anything is sent, and answers are read."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None
        self.left = b""

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket, self.left = None, b""

    def ask(self, wire: bytes, patience: float, has_body: bool = True) -> tuple[int, str, bytes]:
        """Status, media type and body. `OSError` where nothing comes, or the hub closes."""
        was_open = self.socket is not None
        try:
            return self._ask(wire, patience, has_body)
        except TimeoutError:
            raise
        except OSError:
            if not was_open or self.left:
                raise
            # The hub may have closed it after its last answer; whoever keeps connections asks again (RFC 9112, 9.3.1).
            self.close()
            return self._ask(wire, patience, has_body)

    def _ask(self, wire: bytes, patience: float, has_body: bool) -> tuple[int, str, bytes]:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(patience)
        # What is refused may be answered before all of it was sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(wire)
        while b"\r\n\r\n" not in self.left:
            self.left += self._more()
        head, _, self.left = self.left.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split()[1])
        length = int(fields.get("content-length", "0")) if has_body else 0
        parts, size = [self.left], len(self.left)
        while size < length:
            parts.append(self._more())
            size += len(parts[-1])
        whole = b"".join(parts)
        self.left = whole[length:]
        if fields.get("connection") == "close":
            self.close()
        return status, fields.get("content-type", ""), whole[:length]

    def _more(self) -> bytes:
        assert self.socket is not None
        more = self.socket.recv(1 << 18)
        if not more:
            raise ConnectionResetError("the hub has closed")
        return more


def dns_question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def dns_answers(answer: bytes) -> int:
    """How many records an answer without an error has."""
    number, flags, _, records = struct.unpack(">HHHH", answer[:8])
    return records if number == 7 and flags & 0x800F == 0x8000 else 0
