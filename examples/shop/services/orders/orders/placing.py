"""What happens to an order.

An order is recorded first and placed later, in short transactions with the calls to catalog and shipping between them
and none inside. Whatever breaks on the way, the record says how far it came: `finish` goes on from there, called by the
next request with the same key, by the service's own errands, or by `manage.py resume_pending`. Any number of processes
may do so at the same time, because catalog and shipping take repeated calls, and because every step from one status to
the next is an update that only one can win.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

from django.db import IntegrityError, transaction

from orders.calling import RefusedError, ServiceError
from orders.catalog import Catalog, OutOfStockError, Product, Shortage
from orders.models import Order, OrderLine, Shipment, Status
from orders.shipping import Shipping

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    product_id: int
    quantity: int


@dataclass(frozen=True)
class Draft:
    """What a shopper asks for; checked by `orders.serializers`."""

    name: str
    email: str
    address: str
    lines: tuple[Line, ...]

    @property
    def fingerprint(self) -> str:
        """The same for bodies that mean the same."""
        members = asdict(self)
        members["lines"] = sorted(members["lines"], key=lambda line: int(line["product_id"]))
        return hashlib.sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()


class KeyReusedError(Exception):
    """The idempotency key came with another body before."""


class NotCancellableError(Exception):
    """A rejected order has nothing to cancel."""


def record(draft: Draft, idempotency_key: str) -> tuple[Order, bool]:
    """The order of this key, and whether it was recorded now (and not by an earlier call)."""
    existing = Order.objects.filter(idempotency_key=idempotency_key).first()
    if existing is None:
        try:
            return _record(draft, idempotency_key), True
        except IntegrityError:
            # Another request with this key came between looking and writing.
            existing = Order.objects.get(idempotency_key=idempotency_key)
    if existing.fingerprint != draft.fingerprint:
        raise KeyReusedError
    return existing, False


@dataclass(frozen=True)
class Others:
    """The services that an order depends on."""

    catalog: Catalog
    shipping: Shipping

    @classmethod
    def from_settings(cls, request_id: str) -> "Others":
        return cls(Catalog.from_settings(request_id), Shipping.from_settings(request_id))


def finish(order: Order, others: Others) -> None:
    """Takes an unfinished order as far as it goes; raises ServiceError if it has to wait for another service."""
    if order.status == Status.PENDING:
        _place(order, others.catalog)
    if order.status == Status.PLACED and order.shipment == Shipment.WANTED:
        _book(order, others.shipping)
    elif order.status == Status.CANCELLING:
        _give_back(order, others)


def cancel(order: Order) -> None:
    """Records the intention; `finish` takes the parcels and the stock back. A crash between leaves no placed order
    without stock, and no parcel for an order that is cancelled."""
    for origin in (Status.PENDING, Status.PLACED):
        if _step(order, origin, status=Status.CANCELLING):
            return
    if order.status == Status.REJECTED:
        raise NotCancellableError


@transaction.atomic
def _record(draft: Draft, idempotency_key: str) -> Order:
    order = Order.objects.create(
        idempotency_key=idempotency_key,
        fingerprint=draft.fingerprint,
        name=draft.name,
        email=draft.email,
        address=draft.address,
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product_id=line.product_id, quantity=line.quantity) for line in draft.lines
    )
    return order


def _place(order: Order, catalog: Catalog) -> None:
    quantities = dict(order.lines.values_list("product_id", "quantity"))
    products = catalog.products(quantities)
    missing = [Shortage(id_, quantity, 0) for id_, quantity in quantities.items() if id_ not in products]
    if missing:
        return _reject(order, "unknown_product", missing)
    try:
        catalog.hold(order.id, quantities)
    except OutOfStockError as error:
        return _reject(order, "out_of_stock", error.shortages)
    except RefusedError:
        # The usual reason is a cancellation that overtook us; then the order is not pending, and nothing changes.
        return _reject(order, "refused", [])
    if not _confirm(order, quantities, products) and order.status == Status.REJECTED:
        # Another process asked catalog when there was not enough, and we did when there was.
        catalog.release(order.id)


def _book(order: Order, shipping: Shipping) -> None:
    things = sum(order.lines.values_list("quantity", flat=True))
    try:
        shipping.book(order.id, order.name, order.address, things)
    except RefusedError as error:
        # A cancellation overtook us; then the order is not placed any more. Anything else is for somebody to look at.
        order.refresh_from_db()
        if order.status == Status.PLACED:
            raise ServiceError(f"shipping refuses a placed order: {error}") from error
        return
    _step(order, Status.PLACED, shipment=Shipment.BOOKED)


def _give_back(order: Order, others: Others) -> None:
    if order.shipment != Shipment.NONE:
        try:
            others.shipping.take_back(order.id)
        except RefusedError:
            # It is on its way, so it stays ordered.
            _step(order, Status.CANCELLING, status=Status.PLACED, shipment=Shipment.BOOKED)
            return
    others.catalog.release(order.id)
    _step(order, Status.CANCELLING, status=Status.CANCELLED)


def _confirm(order: Order, quantities: dict[int, int], products: dict[int, Product]) -> bool:
    total = sum(products[id_].price_cents * quantity for id_, quantity in quantities.items())
    # Catalog sells in one currency.
    currency = next(iter(products.values())).currency
    with transaction.atomic():
        placed = _step(
            order,
            Status.PENDING,
            status=Status.PLACED,
            shipment=Shipment.WANTED,
            total_cents=total,
            currency=currency,
        )
        if placed:
            for line in order.lines.all():
                product = products[line.product_id]
                line.sku, line.name, line.price_cents = product.sku, product.name, product.price_cents
                line.save(update_fields=["sku", "name", "price_cents"])
    return placed


def _reject(order: Order, reason: str, shortages: list[Shortage]) -> None:
    lines = [asdict(shortage) for shortage in shortages]
    _step(order, Status.PENDING, status=Status.REJECTED, rejection={"reason": reason, "lines": lines})


def _step(order: Order, origin: str, **changes: Any) -> bool:
    """Changes the order if it still is where we think it is; `order` then tells the truth either way."""
    changed = Order.objects.filter(pk=order.pk, status=origin).update(**changes)
    order.refresh_from_db()
    return changed == 1
