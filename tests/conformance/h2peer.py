"""A client of HTTP/2 that is as rude as a case wants it to be: what hyper-h2 would not send is made here."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
from wire import PATIENCE


class Served(Protocol):
    """Whatever has an address."""

    @property
    def address(self) -> tuple[str, int]: ...


@dataclass
class Answer:
    """What came back on one stream."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def json(self) -> Any:
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)


class Peer:
    """A connection with prior knowledge."""

    def __init__(
        self, served: Served, settings: dict[h2.settings.SettingCodes, int] | None = None, *, acknowledges: bool = True
    ) -> None:
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="latin-1",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        self.state = h2.connection.H2Connection(config)
        self.answers: dict[int, Answer] = {}
        self.events: list[h2.events.Event] = []
        self.gone: h2.events.ConnectionTerminated | None = None
        self.closed = False
        self._acknowledges = acknowledges
        self.socket = socket.create_connection(served.address, PATIENCE)
        self.state.local_settings = h2.settings.Settings(client=True, initial_values=settings or {})
        self.state.initiate_connection()
        self.flush()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def flush(self) -> None:
        data = self.state.data_to_send()
        if data:
            self.raw(data)

    def raw(self, data: bytes) -> None:
        """Bytes of the case's own; a server that has closed is found out by what is read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        """A frame that hyper-h2 would not send (RFC 9113 section 4.1)."""
        self.flush()
        self.raw(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def block(self, *pairs: tuple[str, str]) -> bytes:
        """A header block that stands for itself: what it says is not remembered by either side."""
        return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*pair) for pair in pairs], huffman=False)

    def begin(self) -> tuple[int, Answer]:
        """A stream whose frames the case makes by itself."""
        stream = self.state.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.state.send_headers(stream, self.head("GET", "/"), end_stream=True)
        self.state.clear_outbound_data_buffer()
        return stream, self.answers[stream]

    def head(self, method: str, target: str) -> list[tuple[str, str]]:
        return [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", target)]

    def ask(
        self, method: str, target: str, *headers: tuple[str, str], body: bytes | None = None, end: bool = True
    ) -> int:
        """Begins a request; sends its body as far as the windows allow at once."""
        stream = self.state.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.state.send_headers(stream, [*self.head(method, target), *headers], end_stream=body is None and end)
        self.flush()
        if body is not None:
            self.send(stream, body, end)
        return stream

    def send(self, stream: int, body: bytes, end: bool = True) -> None:
        """Sends a body, and waits for windows where it has to."""
        view = memoryview(body)
        while view:
            room = min(self.state.local_flow_control_window(stream), self.state.max_outbound_frame_size, len(view))
            if room == 0:
                if not self.step():
                    return
                continue
            self.state.send_data(stream, bytes(view[:room]))
            self.flush()
            view = view[room:]
        if end:
            self.state.end_stream(stream)
            self.flush()

    def get(self, target: str, *headers: tuple[str, str]) -> Answer:
        return self.read(self.ask("GET", target, *headers))

    def read(self, stream: int) -> Answer:
        """Reads on until a stream has ended, or the connection has."""
        answer = self.answers[stream]
        while not answer.ended and answer.reset is None and self.step():
            pass
        return answer

    def step(self) -> bool:
        """Takes what comes next; false at the end of the connection."""
        if self.closed:
            return False
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.state.receive_data(data):
            self.take(event)
        self.flush()
        return True

    def take(self, event: h2.events.Event) -> None:
        self.events.append(event)
        answer = self.answers.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.ConnectionTerminated):
            self.gone = event
        if answer is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            status, headers = split(event.headers)
            answer.interim.append((status, headers))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.status, answer.headers = split(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if self._acknowledges and event.flow_controlled_length:
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)

    def until_gone(self) -> int | None:
        """Reads to the end of the connection; the code of the GOAWAY that came, if one did."""
        while self.step():
            pass
        return None if self.gone is None else int(self.gone.error_code or 0)


def split(headers: Any) -> tuple[int, list[tuple[str, str]]]:
    pairs = [(str(name), str(value)) for name, value in headers]
    return int(dict(pairs)[":status"]), [pair for pair in pairs if not pair[0].startswith(":")]
