"""A catalog in the process of the test: the same promises as the real one."""

import threading
from dataclasses import dataclass, field
from typing import Any

from tests.stub import Stub


@dataclass
class StubCatalog(Stub):
    stock: dict[int, int] = field(default_factory=lambda: {1: 10, 2: 10, 3: 0})
    price_cents: int = 1250
    held: dict[str, dict[int, int]] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    something_held: threading.Event = field(default_factory=threading.Event)

    def do(self, method: str, path: str, query: dict[str, list[str]], document: Any) -> tuple[int, Any]:
        if path == "/api/products/batch":
            return self.batch([int(id_) for id_ in query["id"]])
        id_ = path.removeprefix("/reservations/")
        if method == "DELETE":
            return self.release(id_)
        return self.hold(id_, {line["product_id"]: line["quantity"] for line in document["lines"]})

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
