"""Orders that were left unfinished because another service did not answer, finished later."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from orders import placing
from orders.calling import ServiceError, UnreachableError
from orders.models import UNFINISHED, Order, Shipment, Status

MOST_PER_ROUND = 1000


def resume(older_than: float) -> Iterator[tuple[Order, ServiceError | None]]:
    """Each unfinished order of at least this age in seconds, oldest first, and what it still waits for.

    A service that cannot be reached is not asked again in this round: the others would wait in vain as well.
    """
    youngest = timezone.now() - timedelta(seconds=older_than)
    orders = Order.objects.filter(UNFINISHED, created_at__lt=youngest).order_by("created_at")[:MOST_PER_ROUND]
    away: dict[str, UnreachableError] = {}
    for order in list(orders):
        error: ServiceError | None = away.get(_asks_first(order))
        if error is None:
            try:
                placing.finish(order, placing.Others.from_settings(f"resume-{uuid.uuid4()}"))
            except UnreachableError as unreachable:
                error = away[unreachable.service] = unreachable
            except ServiceError as misunderstood:
                error = misunderstood
        yield order, error


def _asks_first(order: Order) -> str:
    if order.status == Status.PENDING or order.shipment == Shipment.NONE:
        return "catalog"
    return "shipping"
