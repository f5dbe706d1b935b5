"""Finishes the orders that wait for another service, oldest first. May run beside anything, also twice."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import close_old_connections

from orders.resuming import resume


class Command(BaseCommand):
    help = "Finishes the orders that wait because catalog or shipping did not answer."

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
        waiting = 0
        for order, error in resume(older_than):
            if error is None:
                self.stdout.write(f"order {order.id} is {order.standing}")
            else:
                waiting += 1
                self.stderr.write(f"order {order.id} stays {order.standing}: {error}")
        return waiting
