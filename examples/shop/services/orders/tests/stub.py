"""A service in the process of the test, with faults on demand."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

Fault = Literal["busy", "nonsense", "strange", "hang up", "silence", "late answer"]
"""`hang up` ends the connection, `silence` never answers, both with nothing done; `late answer` does it before."""


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    request_id: str | None


@dataclass
class Stub:
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    """What the next calls meet, in this order; None is a call without one, like all calls after these."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def methods(self) -> list[str]:
        return [call.method for call in self.calls]

    def do(self, method: str, path: str, query: dict[str, list[str]], document: Any) -> tuple[int, Any]:
        raise NotImplementedError


S = TypeVar("S", bound=Stub)


@contextmanager
def serving(stub: S) -> Iterator[S]:
    handler = type("Handler", (_Handler,), {"stub": stub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stub
        finally:
            stub.closing.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    stub: Stub

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        stub = self.stub
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        with stub.lock:
            stub.calls.append(Call(self.command, self.path, self.headers["X-Request-Id"]))
            fault = stub.faults.pop(0) if stub.faults else None
            if fault in (None, "late answer"):
                url = urlsplit(self.path)
                document = json.loads(body) if body else None
                status, document = stub.do(self.command, url.path, parse_qs(url.query), document)
        if fault in ("silence", "late answer"):
            stub.closing.wait(30)
        elif fault == "busy":
            self._send(503, {})
        elif fault == "strange":
            self._send(422, {"detail": "what is this?"})
        elif fault == "nonsense":
            self._send(200, ["no", "answer", "of", "ours"])
        elif fault is None:
            self._send(status, document)

    def _send(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
