"""The services behind, for tests: real HTTP servers that keep to the contracts, and fail when told to."""

import json
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

CATEGORIES = [
    {"slug": "kitchen", "name": "Kitchen", "description": "Pots and blades.", "products": 30},
    {"slug": "table", "name": "Table", "description": "Stoneware & glass.", "products": 30},
]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    status: int
    document: Any
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, detail: str, **members: object) -> Answer:
    return Answer(status, {"title": "Problem", "status": status, "detail": detail, **members})


class Fake:
    """A server on a free port.

    `fails_with` answers everything so, `fails_for` fails for one path only, `broken_connections` hangs up so many
    times, and without `goes_on` nothing is answered.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.fails_with: int | None = None
        self.fails_for: str | None = None
        self.talks_nonsense = False
        self.broken_connections = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def calls(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    def answer(self, seen: Seen, query: dict[str, list[str]]) -> Answer:
        raise NotImplementedError

    def _handler(fake) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet.
            wbufsize = -1

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                address = urlsplit(self.path)
                seen = Seen(self.command, address.path, dict(self.headers), json.loads(text) if text else None)
                fake.goes_on.wait()
                with fake.lock:
                    fake.seen.append(seen)
                    breaks = fake.broken_connections > 0
                    fake.broken_connections -= breaks
                    answer = Answer(200, None) if breaks else fake.answer_or_fail(seen, parse_qs(address.query))
                if breaks:
                    self.close_connection = True
                else:
                    self.send(answer)

            do_POST = do_GET

            def send(self, answer: Answer) -> None:
                text = b"<html>" if fake.talks_nonsense else json.dumps(answer.document).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler

    def answer_or_fail(self, seen: Seen, query: dict[str, list[str]]) -> Answer:
        if self.fails_with or self.fails_for == seen.path:
            return problem(self.fails_with or 503, "told to fail")
        return self.answer(seen, query)


class FakeCatalog(Fake):
    name = "catalog"

    def __init__(self) -> None:
        self.products = {number: product(number) for number in range(1, 61)}
        super().__init__()

    def answer(self, seen: Seen, query: dict[str, list[str]]) -> Answer:
        match seen.path.split("/")[3:]:
            case []:
                return self.page({name: values[0] for name, values in query.items()})
            case ["categories"]:
                return Answer(200, CATEGORIES)
            case ["batch"]:
                wanted = [int(text) for text in query["id"]]
                items = [self.products[one] for one in wanted if one in self.products]
                return Answer(200, {"items": items, "missing": [one for one in wanted if one not in self.products]})
            case [number] if int(number) in self.products:
                return Answer(200, self.products[int(number)])
        return problem(404, "there is no such product")

    def page(self, query: dict[str, str]) -> Answer:
        cursor = query.get("cursor", "0")
        if not cursor.isdigit():
            return problem(400, "the cursor is damaged")
        found = [
            one
            for one in self.products.values()
            if one["category"] == query.get("category", one["category"])
            and query.get("search", "").lower() in str(one["name"]).lower()
        ]
        start, limit = int(cursor), int(query["limit"])
        return Answer(
            200,
            {
                "items": found[start : start + limit],
                "total": len(found),
                "next": str(start + limit) if start + limit < len(found) else None,
                "previous": str(max(0, start - limit)) if start else None,
            },
        )


class FakeOrders(Fake):
    name = "orders"

    def __init__(self) -> None:
        self.by_key: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.status = "placed"
        self.rejection: dict[str, Any] | None = None
        self.errors: list[dict[str, str]] = []
        super().__init__()

    @property
    def orders(self) -> dict[str, dict[str, Any]]:
        return {str(order["id"]): order for _, order in self.by_key.values()}

    def answer(self, seen: Seen, query: dict[str, list[str]]) -> Answer:
        match seen.method, seen.path.split("/")[2:]:
            case "POST", []:
                return self.place(seen.headers["Idempotency-Key"], seen.body)
            case "GET", [order_id] if order_id in self.orders:
                return Answer(200, self.orders[order_id])
            case "POST", [order_id, "cancel"] if order_id in self.orders:
                self.orders[order_id]["status"] = "cancelled"
                return Answer(200, self.orders[order_id])
        return problem(404, "there is no such order")

    def place(self, key: str, body: Any) -> Answer:
        if self.errors:
            return problem(400, "the body is malformed", errors=self.errors)
        if key in self.by_key:
            before, order = self.by_key[key]
            if before != body:
                return problem(422, "the key was used with another body")
            if order["status"] == "pending":
                self.settle(order)
            return Answer(200, order)
        order = {"id": str(uuid.uuid4()), "created_at": "2026-11-24T07:30:00.123456Z", **body}
        self.by_key[key] = (json.loads(json.dumps(body)), order)
        self.settle(order)
        return Answer(202 if self.status == "pending" else 201, order, {"Location": f"/orders/{order['id']}"})

    def settle(self, order: dict[str, Any]) -> None:
        known = self.status == "placed"
        for line in order["lines"]:
            number = line["product_id"]
            line.update(
                sku=f"KIT-{number}" if known else None,
                name=f"Mug {number}" if known else None,
                price_cents=1450 if known else None,
            )
        total = sum(1450 * line["quantity"] for line in order["lines"])
        order.update(
            status=self.status,
            total_cents=total if known else None,
            currency="EUR" if known else None,
            rejection=self.rejection,
        )


class FakeShipping(Fake):
    name = "shipping"

    def __init__(self) -> None:
        self.shipments: dict[str, dict[str, Any]] = {}
        super().__init__()

    def book(self, order_id: str, status: str = "ready", parcels: int = 1) -> None:
        tracking = "PN5F0C1B2A" if status in ("dispatched", "delivered") else None
        self.shipments[order_id] = {"order": order_id, "status": status, "parcels": parcels, "tracking": tracking}

    def answer(self, seen: Seen, query: dict[str, list[str]]) -> Answer:
        match seen.method, seen.path.split("/")[2:]:
            case "GET", [order_id] if order_id in self.shipments:
                return Answer(200, self.shipments[order_id])
        return problem(404, "there is no shipment for this order")


def product(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "sku": f"KIT-{number}",
        "name": f"Mug {number}",
        "category": "kitchen" if number <= 30 else "table",
        "description": "Thrown from stoneware <by hand> & glazed.",
        "picture": "mug",
        "colour": "sage",
        "price_cents": 1450,
        "currency": "EUR",
        "stock": 0 if number == 13 else 10,
    }
