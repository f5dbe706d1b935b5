"""A WebSocket client that sends exactly the frames that a case wants to send (RFC 6455 section 5.2)."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from servers import Running
from wire import Answer, Ended, Wire

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Frame:
    """A frame as it came."""

    final: bool
    reserved: int
    kind: int
    payload: bytes
    masked: bool

    @property
    def code(self) -> int | None:
        """The code of a close."""
        assert self.kind == CLOSE, self
        return struct.unpack(">H", self.payload[:2])[0] if self.payload else None

    @property
    def reason(self) -> str:
        return self.payload[2:].decode()


class Talk:
    """A conversation, from its handshake on."""

    def __init__(self, app: Running, target: str, *headers: str, key: str | None = None) -> None:
        self.key = key or base64.b64encode(os.urandom(16)).decode()
        self.wire: Wire = app.connect()
        lines = [f"GET {target} HTTP/1.1", "Host: test", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {self.key}", "Sec-WebSocket-Version: 13", *headers, "", ""]  # fmt: skip
        self.wire.send("\r\n".join(lines).encode("latin-1"))
        self.answer: Answer = self.wire.head()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.wire.close()

    @property
    def expected(self) -> str:
        return base64.b64encode(hashlib.sha1(self.key.encode() + MAGIC).digest()).decode()

    def send(
        self,
        kind: int,
        payload: bytes = b"",
        *,
        final: bool = True,
        reserved: int = 0,
        mask: bool = True,
        length: bytes = b"",
    ) -> None:
        """Sends a frame; `length` replaces the bytes that say how long it is."""
        self.wire.send(frame(kind, payload, final=final, reserved=reserved, mask=mask, length=length))

    def text(self, text: str) -> None:
        self.send(TEXT, text.encode())

    def close(self, code: int | None = None, reason: bytes = b"") -> None:
        self.send(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)

    def read(self) -> Frame:
        """The next frame."""
        first, second = self.wire.take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.wire.take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.wire.take(8))
        masked = bool(second & 0x80)
        mask = self.wire.take(4) if masked else b""
        payload = self.wire.take(length)
        if masked:
            payload = masking(payload, mask)
        return Frame(bool(first & 0x80), (first >> 4) & 7, first & 0xF, payload, masked)

    def next_message(self) -> Frame:
        """The next frame that is neither ping nor pong."""
        frame = self.read()
        while frame.kind in (PING, PONG):
            frame = self.read()
        return frame

    def closed_with(self) -> int | None:
        """The code that the server closes with; -1: the connection just ended."""
        try:
            frame = self.next_message()
            while frame.kind != CLOSE:
                frame = self.next_message()
        except Ended:
            return -1
        return frame.code


def frame(
    kind: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, mask: bool = True, length: bytes = b""
) -> bytes:
    head = bytes([(0x80 if final else 0) | (reserved << 4) | kind])
    flag = 0x80 if mask else 0
    if length:
        head += bytes([flag | length[0]]) + length[1:]
    elif len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        head += bytes([flag | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([flag | 127]) + struct.pack(">Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + masking(payload, key)


def masking(data: bytes, key: bytes) -> bytes:
    if not data:
        return data
    repeated = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(data), "big")
