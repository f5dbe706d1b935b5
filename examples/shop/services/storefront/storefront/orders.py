"""The order desk, as the shop window sees it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from storefront.service import RefusedError, Service

# The order desk waits for the catalogue for some seconds itself, and then keeps the order.
PATIENCE = 10.0


@dataclass(frozen=True)
class Customer:
    name: str
    email: str
    address: str

    @classmethod
    def parse(cls, document: Any) -> "Customer":
        return cls(document["name"], document["email"], document["address"])


@dataclass(frozen=True)
class OrderLine:
    """A line as it was ordered; name and price are none until the catalogue has confirmed it."""

    product_id: int
    quantity: int
    name: str | None
    price_cents: int | None

    @classmethod
    def parse(cls, document: Any) -> "OrderLine":
        return cls(document["product_id"], document["quantity"], document["name"], document["price_cents"])


@dataclass(frozen=True)
class Order:
    id: str
    status: str
    created_at: datetime
    customer: Customer
    lines: list[OrderLine]
    total_cents: int | None
    currency: str | None
    rejection: dict[str, Any] | None

    @classmethod
    def parse(cls, document: Any) -> "Order":
        return cls(
            id=document["id"],
            status=document["status"],
            created_at=datetime.fromisoformat(document["created_at"].replace("Z", "+00:00")),
            customer=Customer.parse(document["customer"]),
            lines=[OrderLine.parse(line) for line in document["lines"]],
            total_cents=document["total_cents"],
            currency=document["currency"],
            rejection=document["rejection"],
        )

    @property
    def number(self) -> str:
        """Short enough to be read out over the telephone."""
        return self.id[:8].upper()

    @property
    def things(self) -> int:
        return sum(line.quantity for line in self.lines)


class KeyWasUsedError(Exception):
    """The key has made another order before."""


class Orders:
    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self._service = Service("orders", url, patience)

    def place(self, key: str, customer: Customer, quantities: Mapping[int, int]) -> Order:
        """Orders what stands in the basket, once for each key."""
        lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in quantities.items()]
        try:
            return self._service.post("/orders", Order.parse, {"customer": asdict(customer), "lines": lines}, key=key)
        except RefusedError as error:
            if error.status == 422:
                raise KeyWasUsedError from error
            raise

    def resume(self, key: str, order: Order) -> Order:
        """Tries an order again that was kept while the catalogue did not answer."""
        return self.place(key, order.customer, {line.product_id: line.quantity for line in order.lines})

    def find(self, order_id: str) -> Order | None:
        try:
            return self._service.get(f"/orders/{order_id}", Order.parse)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def cancel(self, order_id: str) -> Order:
        """Cancels it; a cancellation may be repeated, its key is the order itself."""
        return self._service.post(f"/orders/{order_id}/cancel", Order.parse, None, key=order_id)
