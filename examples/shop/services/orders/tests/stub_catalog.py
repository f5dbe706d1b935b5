"""A catalog in the process of the test: the same promises as the real one, and faults on demand."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Fault = Literal["busy", "nonsense", "strange", "hang up", "silence", "late answer"]
"""`hang up` ends the connection, `silence` never answers, both with nothing done; `late answer` does it before."""


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    request_id: str | None


@dataclass
class StubCatalog:
    url: str = ""
    stock: dict[int, int] = field(default_factory=lambda: {1: 10, 2: 10, 3: 0})
    price_cents: int = 1250
    held: dict[str, dict[int, int]] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    """What the next calls meet, in this order; None is a call without one, like all calls after these."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    something_held: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def methods(self) -> list[str]:
        return [call.method for call in self.calls]

    def batch(self, ids: list[int]) -> tuple[int, Any]:
        items = [
            {
                "id": id_,
                "sku": f"SKU-{id_}",
                "name": f"Product {id_}",
                "category": "table",
                "price_cents": self.price_cents * id_,
                "currency": "EUR",
                "stock": self.stock[id_],
            }
            for id_ in ids
            if id_ in self.stock
        ]
        return 200, {"items": items, "missing": [id_ for id_ in ids if id_ not in self.stock]}

    def hold(self, id_: str, lines: dict[int, int]) -> tuple[int, Any]:
        if id_ in self.released:
            return 409, {"title": "Conflict", "status": 409, "detail": "this reservation was released"}
        if id_ in self.held:
            assert self.held[id_] == lines
            return 200, {"id": id_, "state": "held", "lines": []}
        short = [
            {"product_id": product, "wanted": wanted, "available": self.stock.get(product, 0)}
            for product, wanted in lines.items()
            if self.stock.get(product, 0) < wanted
        ]
        if short:
            return 409, {"title": "Out of stock", "status": 409, "detail": "not enough", "shortages": short}
        for product, wanted in lines.items():
            self.stock[product] -= wanted
        self.held[id_] = lines
        self.something_held.set()
        return 201, {"id": id_, "state": "held", "lines": []}

    def release(self, id_: str) -> tuple[int, Any]:
        for product, quantity in self.held.pop(id_, {}).items():
            self.stock[product] += quantity
        self.released.add(id_)
        return 200, {"id": id_, "state": "released", "lines": []}


@contextmanager
def serving() -> Iterator[StubCatalog]:
    catalog = StubCatalog()
    handler = type("Handler", (_Handler,), {"catalog": catalog})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        catalog.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield catalog
        finally:
            catalog.closing.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    catalog: StubCatalog

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        catalog = self.catalog
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        with catalog.lock:
            catalog.calls.append(Call(self.command, self.path, self.headers["X-Request-Id"]))
            fault = catalog.faults.pop(0) if catalog.faults else None
            if fault in (None, "late answer"):
                status, document = self._do(body)
        if fault in ("silence", "late answer"):
            catalog.closing.wait(30)
        elif fault == "busy":
            self._send(503, {})
        elif fault == "strange":
            self._send(422, {"detail": "what is this?"})
        elif fault == "nonsense":
            self._send(200, ["no", "answer", "of", "ours"])
        elif fault is None:
            self._send(status, document)

    def _do(self, body: bytes) -> tuple[int, Any]:
        url = urlsplit(self.path)
        if url.path == "/api/products/batch":
            return self.catalog.batch([int(id_) for id_ in parse_qs(url.query)["id"]])
        id_ = url.path.removeprefix("/reservations/")
        if self.command == "DELETE":
            return self.catalog.release(id_)
        return self.catalog.hold(id_, {line["product_id"]: line["quantity"] for line in json.loads(body)["lines"]})

    def _send(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
