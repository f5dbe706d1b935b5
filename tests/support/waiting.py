"""Waiting for a condition, and never for time."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_WAIT = 30.0


def until(condition: Callable[[], bool], what: str | Callable[[], str]) -> None:
    """Waits for a condition; `what` says what was waited for in vain."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what if isinstance(what, str) else what()}"
        time.sleep(0.01)
