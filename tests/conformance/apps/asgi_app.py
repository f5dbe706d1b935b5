"""An ASGI application that does what a request's script tells it to, and notes down what it saw.

`/play?token=T&script=[…]` runs the steps; `/seen?token=T` tells what was noted under that name. Steps:

    ["send", {message}]      sends; text in `body`, `bytes`, `headers`, `links` stands for latin-1 bytes
    ["try", {message}]       the same; an exception is noted, and the script goes on
    ["receive"]              notes the next event
    ["read"]                 reads the request's body to its end, and notes its length
    ["gone"]                 receives until the client has gone, and notes that event
    ["gate", name]           waits until `/open?gate=name` was asked for
    ["note", word] ["raise", word] ["flood", bytes] ["sleep", seconds] ["echo"] ["pick", subprotocol]
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs

seen: dict[str, list[Any]] = defaultdict(list)
gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
FLOOD_PIECE = b"x" * 65536


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    path = scope["path"].removeprefix(scope["root_path"]) if scope["root_path"] else scope["path"]
    if path == "/play":
        await play(query["token"], json.loads(query["script"]), scope, receive, send)
    elif path == "/seen":
        await answer(send, json.dumps(seen[query["token"]]).encode())
    elif path == "/open":
        gates[query["gate"]].set()
        await answer(send, b"open")
    elif path == "/hello":
        await answer(send, b"hello")
    elif path == "/echo":
        await answer(send, await read(receive))
    elif path == "/length":
        await answer(send, str(await count(receive)).encode())
    else:
        await answer(send, json.dumps(await described(scope, receive)).encode())


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    scope["state"]["boot"] = {"requests": 0}
    scope["state"]["word"] = "of the lifespan"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def described(scope: Any, receive: Any) -> dict[str, Any]:
    """The scope and the body, in JSON; bytes as latin-1."""
    body = await read(receive)
    shown = {key: plain(value) for key, value in scope.items() if key not in ("state", "app")}
    state = scope.get("state") or {}
    state["word"], before = "of a request", state.get("word")
    if "boot" in state:
        state["boot"]["requests"] += 1
    types = {key: type(value).__name__ for key, value in scope.items()}
    return shown | {"body": plain(body), "word": before, "boot": state.get("boot"), "types": types}


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


async def read(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def count(receive: Any) -> int:
    total = 0
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        total += len(message.get("body", b""))
        if not message.get("more_body", False):
            return total


# ---------------------------------------------------------------- scripts


async def play(token: str, script: list[Any], scope: Any, receive: Any, send: Any) -> None:
    notes = seen[token]
    try:
        for step in script:
            await perform(step, notes, scope, receive, send)
    except asyncio.CancelledError:
        notes.append(["cancelled"])
        raise
    except BaseException as error:
        notes.append(["raised", type(error).__name__, isinstance(error, OSError)])
        raise
    finally:
        notes.append(["ended"])


async def perform(step: list[Any], notes: list[Any], scope: Any, receive: Any, send: Any) -> None:
    kind, arguments = step[0], step[1:]
    if kind == "send":
        await send(message_from(arguments[0]))
    elif kind == "try":
        try:
            await send(message_from(arguments[0]))
            notes.append(["sent", arguments[0]["type"]])
        except Exception as error:
            notes.append(["refused", arguments[0]["type"], isinstance(error, OSError)])
    elif kind == "receive":
        notes.append(["received", plain(await receive())])
    elif kind == "read":
        notes.append(["read", await count(receive)])
    elif kind == "gone":
        while not (event := await receive())["type"].endswith("disconnect"):
            pass
        notes.append(["gone", plain(event)])
    elif kind == "gate":
        await gates[arguments[0]].wait()
    elif kind == "note":
        notes.append(["note", arguments[0]])
    elif kind == "raise":
        raise ValueError(arguments[0])
    elif kind == "sleep":
        await asyncio.sleep(arguments[0])
    elif kind == "flood":
        await flood(arguments[0], notes, scope, send)
    elif kind == "echo":
        await echo(notes, receive, send)
    elif kind == "scope":
        notes.append(["scope", {key: plain(value) for key, value in scope.items() if key not in ("state", "app")}])
    elif kind == "quiet":
        # Whether `receive` stays silent while nothing happens.
        try:
            event = await asyncio.wait_for(receive(), arguments[0])
            notes.append(["received", plain(event)])
        except (TimeoutError, asyncio.TimeoutError):
            notes.append(["quiet"])
    else:
        raise LookupError(kind)


async def flood(total: int, notes: list[Any], scope: Any, send: Any) -> None:
    """Sends so many bytes piece by piece, and notes how many it could."""
    place = len(notes)
    notes.append(["flooded", 0])
    sent = 0
    while sent < total:
        if scope["type"] == "websocket":
            await send({"type": "websocket.send", "bytes": FLOOD_PIECE})
        else:
            await send({"type": "http.response.body", "body": FLOOD_PIECE, "more_body": True})
        sent += len(FLOOD_PIECE)
        notes[place][1] = sent


async def echo(notes: list[Any], receive: Any, send: Any) -> None:
    """A WebSocket that sends back what it is sent, until the other side closes."""
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            notes.append(["gone", plain(event)])
            return
        kept = {key: event[key] for key in ("text", "bytes") if event.get(key) is not None}
        await send({"type": "websocket.send", **kept})


def message_from(given: dict[str, Any]) -> dict[str, Any]:
    """A message from its JSON form."""
    message = dict(given)
    for key in ("body", "bytes"):
        if isinstance(message.get(key), str):
            message[key] = message[key].encode("latin-1")
    if "headers" in message:
        message["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in message["headers"]]
    if "links" in message:
        message["links"] = [link.encode("latin-1") for link in message["links"]]
    if message.pop("as_text", False):
        message["body"] = message["body"].decode("latin-1")
    if message.pop("as_bytearray", False):
        message["body"] = bytearray(message["body"])
    return message
