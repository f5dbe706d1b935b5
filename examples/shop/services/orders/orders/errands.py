"""What a process of the service does beside its requests: it finishes what was left unfinished.

Each process does so. Two that take up the same order do no harm, see `orders.placing`.
"""

import logging
import threading
import time

from django.db import DatabaseError, connections

from orders.resuming import resume

log = logging.getLogger(__name__)


def start(every: float) -> None:
    """Begins, with this pause in seconds between rounds; 0: not at all. Orders younger than that are left alone."""
    if every > 0:
        threading.Thread(target=_run, args=(every,), name="errands", daemon=True).start()


def _run(every: float) -> None:
    while True:
        time.sleep(every)
        try:
            go_round(every)
        except DatabaseError as error:
            log.warning("unfinished orders cannot be read: %s", error)
        except Exception:
            log.exception("a round of errands was given up")
        finally:
            connections.close_all()


def go_round(older_than: float) -> None:
    for order, error in resume(older_than):
        if error is None:
            log.info("order %s is %s at last", order.id, order.standing)
        else:
            log.info("order %s stays %s: %s", order.id, order.standing, error)
