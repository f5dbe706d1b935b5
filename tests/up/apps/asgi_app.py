"""A plain ASGI application that shows what its system does with it; a path's last segment says what is asked for."""

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

VERSION = "one"
HERE = Path(__file__).parent
# Tests and services tell each other things by files beside the service's folder: inside, they would reload it.
SIGNS = HERE.parent


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        what = scope["path"].rsplit("/", 1)[-1]
        await ANSWERS.get(what, say)(scope, receive, send)


async def lifespan(receive: Receive, send: Send) -> None:
    """Writes down the end, so that a test sees who ended when."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            with (SIGNS / "ends").open("a") as file:
                file.write(f"{os.environ.get('PINNACE_SERVICE')}\n")
            return


async def say(scope: Scope, receive: Receive, send: Send) -> None:
    """Says which code answers, in which process, and how many bytes came."""
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, 200, f"{VERSION} {os.getpid()} {size}".encode())


async def health(scope: Scope, receive: Receive, send: Send) -> None:
    """Healthy as soon as the file `SERVICE.healthy` is there."""
    await answer(send, 200 if (SIGNS / f"{HERE.name}.healthy").exists() else 503, b"")


async def environment(scope: Scope, receive: Receive, send: Send) -> None:
    found = {**os.environ, "executable": sys.executable, "folder": os.getcwd()}
    await answer(send, 200, json.dumps(found).encode())


async def headers(scope: Scope, receive: Receive, send: Send) -> None:
    found = {name.decode(): value.decode() for name, value in scope["headers"]}
    await answer(send, 200, json.dumps({**found, "path": scope["path"]}).encode())


async def call(scope: Scope, receive: Receive, send: Send) -> None:
    """Asks the service whose address stands in the variable of this name for a path: `/call?BACK_URL/slow`."""
    variable, _, path = scope["query_string"].decode().partition("/")

    def ask() -> bytes:
        with urllib.request.urlopen(f"{os.environ[variable]}/{path}", timeout=30) as response:
            return bytes(response.read())

    await answer(send, 200, await asyncio.to_thread(ask))


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Says that it has begun by a file, and answers as soon as the file `go` is there."""
    (SIGNS / f"{HERE.name}.begun").touch()
    while not (SIGNS / "go").exists():
        await asyncio.sleep(0.01)
    await answer(send, 200, b"slowly")


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers each piece of the body as it comes, before the next one."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b"").upper(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def echo(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{VERSION}: {message.get('text')}"})
        else:
            return


async def answer(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


ANSWERS = {
    "healthz": health,
    "environment": environment,
    "headers": headers,
    "call": call,
    "slow": slow,
    "stream": stream,
}
