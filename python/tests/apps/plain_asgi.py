"""A bare ASGI application with one path for each thing that can happen."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from typing import Any

seen: dict[str, Any] = {"disconnects": 0, "sent": 0, "cancelled": 0}
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Routes by the path."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    handler = globals()["do_" + scope["path"].strip("/").replace("-", "_")]
    await handler(scope, receive, send)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    scope["state"]["greeting"] = "hello"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("lifespan ended", file=sys.stderr, flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, body: bytes, status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def read(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


async def do_hello(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, scope["state"]["greeting"].encode(), headers=[(b"content-type", b"text/plain")])


async def do_scope(scope: Any, receive: Any, send: Any) -> None:
    shown = {key: value for key, value in scope.items() if key != "state"}
    await answer(send, repr(shown).encode())


async def do_echo(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, await read(receive))


async def do_size(scope: Any, receive: Any, send: Any) -> None:
    size = 0
    while True:
        message = await receive()
        size += len(message["body"])
        if not message["more_body"]:
            break
    await answer(send, str(size).encode())


async def do_stream_echo(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        message = await receive()
        await send({"type": "http.response.body", "body": message["body"], "more_body": message["more_body"]})
        if not message["more_body"]:
            return


async def do_endless(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            seen["sent"] += 65536
    except OSError:
        seen["disconnects"] += 1
        raise


async def do_seen(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, repr(seen).encode())


async def do_wait_for_disconnect(scope: Any, receive: Any, send: Any) -> None:
    await read(receive)
    message = await receive()
    assert message["type"] == "http.disconnect"
    seen["disconnects"] += 1


async def do_large(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(1024):
        await send({"type": "http.response.body", "body": b"y" * 65536, "more_body": True})
    await send({"type": "http.response.body"})


async def do_raise(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("raised before the response")


async def do_raise_late(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError("raised in the middle")


async def do_nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


async def do_short(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"four", headers=[(b"content-length", b"10")])


async def do_no_content(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"dropped", status=204)


async def do_context(scope: Any, receive: Any, send: Any) -> None:
    before = variable.get()
    variable.set(scope["query_string"].decode())
    await asyncio.sleep(0)
    inner = await asyncio.create_task(asyncio.sleep(0, variable.get()))
    await answer(send, f"{before} {inner}".encode())


async def do_subprocess(scope: Any, receive: Any, send: Any) -> None:
    code = "import signal; print(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    plain = await asyncio.get_running_loop().run_in_executor(
        None, lambda: subprocess.check_output([sys.executable, "-c", code])
    )
    assert plain == output
    await answer(send, output)


async def do_timeout(scope: Any, receive: Any, send: Any) -> None:
    await read(receive)
    try:
        await asyncio.wait_for(receive(), 0.05)
    except asyncio.TimeoutError:
        await answer(send, b"timed out")


async def do_receive_task(scope: Any, receive: Any, send: Any) -> None:
    message = await asyncio.create_task(receive())
    await answer(send, message["body"])


async def do_threads(scope: Any, receive: Any, send: Any) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    threading.Thread(target=lambda: loop.call_soon_threadsafe(future.set_result, "from a thread")).start()
    await answer(send, (await future).encode())


async def do_background(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"answered")
    await asyncio.sleep(0.2)
    print("background work done", file=sys.stderr, flush=True)


async def do_forever(scope: Any, receive: Any, send: Any) -> None:
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("forgotten task cancelled", file=sys.stderr, flush=True)
            raise

    seen["task"] = asyncio.create_task(wait())
    await answer(send, b"started")


async def do_socket(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    protocols = scope["subprotocols"]
    query = scope["query_string"]
    if query == b"deny":
        await send({"type": "websocket.close"})
        return
    if query == b"refuse":
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"teapot"})
        return
    await send(
        {
            "type": "websocket.accept",
            "subprotocol": protocols[0] if protocols else None,
            "headers": [(b"x-extra", b"yes")],
        }
    )
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            seen["disconnects"] += 1
            seen["code"] = message["code"]
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "as asked"})
            return
        if message.get("text") == "raise":
            raise ValueError("raised in a WebSocket")
        if message.get("text") == "return":
            return
        await send({"type": "websocket.send", **{key: message[key] for key in ("text", "bytes") if key in message}})
