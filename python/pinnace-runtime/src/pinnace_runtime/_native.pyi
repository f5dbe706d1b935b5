"""The extension module's face; what `pinnace._worker` uses of it."""

import asyncio
import logging
from typing import Any, final

VERSION: str

class ClientDisconnected(OSError):
    """The client has gone: what is sent reaches nobody."""

@final
class Reactor:
    """Drives tokio on asyncio's thread."""

    def __new__(cls) -> Reactor: ...
    def attach(self, descriptor: int) -> None: ...
    def belongs_to(self, event_loop: asyncio.AbstractEventLoop) -> None: ...
    def turn(self, timeout: float | None) -> None: ...
    def clear(self) -> None: ...
    def close(self) -> None: ...

@final
class Worker:
    """One worker process."""

    def __new__(cls, config: str) -> Worker: ...
    def serve_asgi(
        self,
        reactor: Reactor,
        event_loop: asyncio.AbstractEventLoop,
        application: Any,
        *,
        state: dict[str, Any],
        logger: logging.Logger,
        framework: str,
    ) -> asyncio.Future[None]: ...
    def serve_wsgi(
        self,
        reactor: Reactor,
        event_loop: asyncio.AbstractEventLoop,
        application: Any,
        *,
        logger: logging.Logger,
        framework: str,
    ) -> asyncio.Future[None]: ...
    def cancel_applications(self) -> None: ...
