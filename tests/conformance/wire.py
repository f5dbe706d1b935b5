"""A client that sends exactly the bytes that a case wants to send, and shows exactly what came back."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

# How long a case waits for what must come. What must not come is never waited for.
PATIENCE = 10.0


class Ended(AssertionError):
    """The connection ended before an answer was complete."""


@dataclass
class Answer:
    """A response as it was on the wire."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """The values of all fields of this name."""
        return [value for key, value in self.headers if key.lower() == name]

    def one(self, name: str) -> str | None:
        """The value of the one field of this name, or nothing."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def json(self) -> Any:
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)


class Wire:
    """A connection."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.buffer = b""
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Sends all of it; a server that has closed already is found out by what is read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def half_close(self) -> None:
        """Says that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Resets the connection."""
        import struct

        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def more(self) -> bool:
        """Reads on; false at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return False
        self.buffer += data
        return bool(data)

    def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.more():
                raise Ended(f"{count} bytes were expected, the connection ended with {self.buffer[:200]!r}")
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self.more():
                raise Ended(f"{mark!r} was expected, the connection ended with {self.buffer[:200]!r}")
        taken, _, self.buffer = self.buffer.partition(mark)
        return taken

    def rest(self) -> bytes:
        """All that comes until the connection ends."""
        while self.more():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def ends(self) -> bool:
        """Whether the connection ends without another byte; waits for either."""
        return not self.buffer and not self.more()

    def head(self) -> Answer:
        """The next head, interim ones too."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (lines[0] + " ").split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        return Answer(version, int(status), reason.strip(), headers)

    def answer(self, method: str = "GET") -> Answer:
        """The next final response with its body."""
        answer = self.head()
        while answer.status < 200:
            answer = self.head()
        return self.body(answer, method)

    def body(self, answer: Answer, method: str = "GET") -> Answer:
        """Reads the body that belongs to a head (RFC 9112 section 6.3)."""
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        if (answer.one("transfer-encoding") or "").lower() == "chunked":
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                answer.chunks.append(self.take(size))
                assert self.take(2) == b"\r\n"
            while line := self.until(b"\r\n"):
                name, _, value = line.decode("latin-1").partition(":")
                answer.trailers.append((name.lower(), value.strip()))
            answer.body = b"".join(answer.chunks)
        elif (length := answer.one("content-length")) is not None:
            answer.body = self.take(int(length))
        else:
            answer.body = self.rest()
        return answer

    def works(self) -> bool:
        """Whether the connection takes another request."""
        self.send(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
        try:
            return self.answer().body == b"hello"
        except Ended:
            return False
