"""The ASGI lifespan protocol: what an application does before its first request and after its last one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pinnace._application import user_traceback
from pinnace._control import StartFailure

Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]

_logger = logging.getLogger("pinnace")


class Lifespan:
    """One conversation, which lasts as long as the worker. `mode` is `auto`, `on` or `off`."""

    def __init__(self, application: Application, mode: str) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._mode = mode
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(maxsize=2)
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._spoken = False

    async def startup(self) -> None:
        """Returns when the application is ready; raises StartFailure where it says, or must say, that it is not."""
        if self._mode == "off":
            return
        self._task = asyncio.get_running_loop().create_task(self._run(), name="pinnace-lifespan")
        await self._inbox.put({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failure is not None:
            detail = self._failure.splitlines()
            raise StartFailure("lifespan", "the application refused to start", detail=detail)
        if self._error is None:
            return
        # Without `on`, an application that raises instead of answering does not speak the protocol.
        if self._mode == "on":
            raise StartFailure(
                "lifespan",
                f"the lifespan's startup raised {type(self._error).__name__}: {self._error}",
                detail=user_traceback(self._error),
            )

    async def shutdown(self) -> None:
        """Returns when the application has put itself away."""
        if self._task is None or not self._spoken:
            return
        if self._task.done():
            return
        await self._inbox.put({"type": "lifespan.shutdown"})
        await self._stopped.wait()
        if self._failure is not None:
            _logger.error("the lifespan's shutdown failed: %s", self._failure)
        elif self._error is not None:
            _logger.error("exception in the lifespan's shutdown", exc_info=self._error)

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._application(scope, self._inbox.get, self._send)
        except Exception as error:  # The application's own; its meaning depends on how far it came.
            self._error = error
        finally:
            self._started.set()
            self._stopped.set()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._spoken = True
            self._started.set()
        elif kind == "lifespan.startup.failed":
            self._failure = message.get("message") or "it gave no reason"
            self._started.set()
        elif kind == "lifespan.shutdown.complete":
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed":
            self._failure = message.get("message") or "it gave no reason"
            self._stopped.set()
        else:
            raise RuntimeError(f"`{kind}` is no message of the lifespan protocol")
