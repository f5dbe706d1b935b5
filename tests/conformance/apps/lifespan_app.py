"""Applications that speak the lifespan protocol well, badly, or not at all; they print what they hear."""

from __future__ import annotations

import asyncio
from typing import Any


async def answer(scope: Any, receive: Any, send: Any, body: bytes = b"hello") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def well(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        if scope["path"] == "/slow":
            print("request begun", flush=True)
            await asyncio.sleep(0.3)
            print("request ended", flush=True)
        await answer(scope, receive, send)
        return
    assert scope["asgi"]["version"] == "3.0", scope
    assert scope["state"] == {}, scope
    print("heard", (await receive())["type"], flush=True)
    await asyncio.sleep(0.05)
    print("started", flush=True)
    await send({"type": "lifespan.startup.complete"})
    print("heard", (await receive())["type"], flush=True)
    await asyncio.sleep(0.05)
    print("stopped", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def fails(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the database is not there"})
        return
    await answer(scope, receive, send)


async def raises(scope: Any, receive: Any, send: Any) -> None:
    """Does not know the protocol."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await answer(scope, receive, send)


async def returns(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await answer(scope, receive, send)


async def raises_late(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("raised by the shutdown")
    await answer(scope, receive, send)


async def fails_late(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "the cache could not be written"})
        return
    await answer(scope, receive, send)


async def ends_early(scope: Any, receive: Any, send: Any) -> None:
    """Says that it has started, and ends."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        return
    await answer(scope, receive, send)


async def background(scope: Any, receive: Any, send: Any) -> None:
    """A task of the lifespan lives on the loop of the requests."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["loop"] = asyncio.get_running_loop()
        scope["state"]["event"] = event = asyncio.Event()
        scope["state"]["task"] = asyncio.create_task(event.wait())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    state = scope["state"]
    assert state["loop"] is asyncio.get_running_loop()
    state["event"].set()
    await asyncio.wait_for(state["task"], 5)
    await answer(scope, receive, send, b"same loop")
