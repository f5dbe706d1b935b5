"""Finishes the orders that wait because catalog did not answer, oldest first. May run beside anything, also twice."""

import time
import uuid
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import close_old_connections
from django.utils import timezone

from orders import placing
from orders.catalog import Catalog, CatalogError, UnreachableError
from orders.models import WAITING, Order

MOST_PER_ROUND = 1000


class Command(BaseCommand):
    help = "Finishes the orders that wait because catalog did not answer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=float,
            default=30,
            metavar="SECONDS",
            help="leaves younger ones to their own requests (30)",
        )
        parser.add_argument("--every", type=float, metavar="SECONDS", help="goes on for ever, with this pause")

    def handle(self, *_arguments: Any, older_than: float, every: float | None, **_options: Any) -> None:
        while every is not None:
            self._round(older_than)
            time.sleep(every)
            close_old_connections()
        if waiting := self._round(older_than):
            raise CommandError(f"{waiting} orders still wait")

    def _round(self, older_than: float) -> int:
        """How many still wait."""
        youngest = timezone.now() - timedelta(seconds=older_than)
        orders = list(
            Order.objects.filter(status__in=WAITING, created_at__lt=youngest).order_by("created_at")[:MOST_PER_ROUND]
        )
        finished = 0
        for order in orders:
            try:
                placing.finish(order, Catalog.from_settings(f"resume-{uuid.uuid4()}"))
            except UnreachableError as error:
                # The others would wait in vain as well.
                self.stderr.write(f"order {order.id} stays {order.status}: {error}")
                break
            except CatalogError as error:
                self.stderr.write(f"order {order.id} stays {order.status}: {error}")
                continue
            finished += 1
            self.stdout.write(f"order {order.id} is {order.status}")
        return len(orders) - finished
