"""A shipping in the process of the test: the same promises as the real one."""

from dataclasses import dataclass, field
from typing import Any

from tests.stub import Stub


@dataclass
class StubShipping(Stub):
    booked: dict[str, Any] = field(default_factory=dict)
    on_their_way: set[str] = field(default_factory=set)
    taken_back: set[str] = field(default_factory=set)

    def do(self, method: str, path: str, query: dict[str, list[str]], document: Any) -> tuple[int, Any]:
        order = path.removeprefix("/shipments/")
        return self.take_back(order) if method == "DELETE" else self.book(order, document)

    def book(self, order: str, draft: Any) -> tuple[int, Any]:
        if order in self.taken_back:
            return 409, {"title": "Conflict", "status": 409, "detail": "the shipment of this order was cancelled"}
        is_new = order not in self.booked
        assert self.booked.setdefault(order, draft) == draft
        return 201 if is_new else 200, {"order": order, "status": "ready"}

    def take_back(self, order: str) -> tuple[int, Any]:
        if order in self.on_their_way:
            return 409, {"title": "Conflict", "status": 409, "detail": "the shipment of this order is dispatched"}
        self.booked.pop(order, None)
        self.taken_back.add(order)
        return 200, {"order": order, "status": "cancelled"}
