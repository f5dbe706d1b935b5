"""The event loop of a worker: asyncio's own, over a selector that drives tokio while it waits."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinnace_runtime._native import Reactor


class ReactorSelector(selectors.EpollSelector):
    """asyncio's epoll, nested in tokio's.

    tokio watches edges, so its knowledge that this epoll has something may be dropped only after it was found empty.
    """

    def __init__(self, reactor: Reactor) -> None:
        super().__init__()
        self._reactor = reactor
        reactor.attach(self.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Lets tokio run until there is something for asyncio."""
        self._reactor.turn(timeout if timeout is None or timeout > 0 else 0.0)
        ready = super().select(0)
        if not ready:
            self._reactor.clear()
        return ready


class ReactorEventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, which threads wake once, however many of them have something for it.

    asyncio writes a byte for each call from another thread; each is a system call, in which the thread gives up the
    interpreter's lock and has to wait for it again. While a byte is on its way, no other is needed: who finds it has
    queued its call before, and the loop looks into its queue after it has read the byte and before it sleeps.
    """

    _is_woken = False

    def _write_to_self(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            super()._write_to_self()  # type: ignore[misc]

    def _read_from_self(self) -> None:
        super()._read_from_self()  # type: ignore[misc]
        # Behind the reading: a byte that is written from now on will be read by another call.
        self._is_woken = False


def new_event_loop(reactor: Reactor) -> asyncio.AbstractEventLoop:
    """A loop on this thread, set as the current one."""
    loop = ReactorEventLoop(ReactorSelector(reactor))
    reactor.belongs_to(loop)
    asyncio.set_event_loop(loop)
    return loop


def close_event_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what the application left behind, as `asyncio.run` does, and closes the loop."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        for task in left:
            if not task.cancelled() and task.exception() is not None:
                loop.call_exception_handler(
                    {
                        "message": "unhandled exception while the worker ends",
                        "exception": task.exception(),
                        "task": task,
                    }
                )
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
