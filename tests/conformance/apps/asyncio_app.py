"""What applications do with asyncio and what stands on it; every path answers `ok`, or a traceback."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status = 200
    try:
        done = globals()["do_" + scope["path"].strip("/").replace("-", "_")]
        body = (await done(scope, receive) or "ok").encode()
    except BaseException:
        status, body = 500, traceback.format_exc().encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


async def do_hello(scope: Any, receive: Any) -> str:
    return "hello"


# ---------------------------------------------------------------- asyncio


async def do_timeout(scope: Any, receive: Any) -> None:
    for _ in range(3):
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            continue
        raise AssertionError("the timeout did not come")
    task = asyncio.current_task()
    assert task is not None and not task.cancelling()


async def do_wait_for_receive(scope: Any, receive: Any) -> None:
    await receive()
    try:
        await asyncio.wait_for(receive(), 0.01)
    except TimeoutError:
        return
    raise AssertionError("receive answered")


async def do_task_group(scope: Any, receive: Any) -> None:
    results = []

    async def work(number: int) -> None:
        await asyncio.sleep(0.001 * number)
        results.append(number)

    async with asyncio.TaskGroup() as group:
        for number in (3, 1, 2):
            group.create_task(work(number))
    assert results == [1, 2, 3]
    failures: tuple[BaseException, ...] = ()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            group.create_task(fail())
    except Exception as error:
        failures = error.exceptions  # type: ignore[attr-defined]
    assert [str(failure) for failure in failures] == ["meant"]


async def fail() -> None:
    raise ValueError("meant")


async def do_own_cancel(scope: Any, receive: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        assert task.uncancel() == 0
        await asyncio.sleep(0)


async def do_shield(scope: Any, receive: Any) -> None:
    inner = asyncio.create_task(asyncio.sleep(0.02, "done"))
    try:
        await asyncio.wait_for(asyncio.shield(inner), 0.001)
    except TimeoutError:
        assert await inner == "done"


async def do_current_task(scope: Any, receive: Any) -> None:
    task = asyncio.current_task()
    assert isinstance(task, asyncio.Task)
    assert task in asyncio.all_tasks()
    assert weakref.ref(task)() is task
    seen: list[Any] = []
    task.add_done_callback(seen.append)
    task.set_name("renamed")
    await asyncio.sleep(0)
    assert asyncio.current_task() is task and task.get_name() == "renamed"


async def do_nested_run(scope: Any, receive: Any) -> None:
    coroutine = asyncio.sleep(0)
    try:
        asyncio.run(coroutine)
    except RuntimeError:
        coroutine.close()
        return
    raise AssertionError("asyncio.run within a handler")


async def do_executor(scope: Any, receive: Any) -> None:
    loop = asyncio.get_running_loop()
    names = await asyncio.gather(*(loop.run_in_executor(None, threading.get_ident) for _ in range(20)))
    assert threading.get_ident() not in names


async def do_to_thread_context(scope: Any, receive: Any) -> None:
    variable.set("of the handler")
    assert await asyncio.to_thread(variable.get) == "of the handler"


async def do_contexts(scope: Any, receive: Any) -> None:
    assert variable.get() == "unset", "the context of another request"
    variable.set("of the handler")

    async def inner() -> str:
        before = variable.get()
        variable.set("of the task")
        await asyncio.sleep(0)
        return before

    assert await asyncio.create_task(inner()) == "of the handler"
    assert variable.get() == "of the handler"
    called: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: called.set_result(variable.get()))
    assert await called == "of the handler"


async def do_threadsafe(scope: Any, receive: Any) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(50):
        event = asyncio.Event()
        threading.Thread(target=loop.call_soon_threadsafe, args=(event.set,)).start()
        await asyncio.wait_for(event.wait(), 5)
    future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "x"), loop)
    assert await asyncio.wrap_future(future) == "x"


async def do_threadsafe_together(scope: Any, receive: Any) -> None:
    """Calls from many threads at once: none is forgotten, also the last one before the loop would sleep."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        came: list[int] = []
        everything = asyncio.Event()

        def call(number: int, came: list[int] = came, everything: asyncio.Event = everything) -> None:
            came.append(number)
            if len(came) == 8 * 20:
                everything.set()

        def work(call: Any = call) -> None:
            for number in range(20):
                loop.call_soon_threadsafe(call, number)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(everything.wait(), 10)
        for thread in threads:
            thread.join()


async def do_clock(scope: Any, receive: Any) -> None:
    for pause in (0, 0.001, 0.02):
        before = time.monotonic()
        await asyncio.sleep(pause)
        assert pause * 0.9 <= time.monotonic() - before < pause + 0.5


async def do_streams(scope: Any, receive: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n")
        assert await reader.read() == b"line\n"
        writer.close()
    with tempfile.TemporaryDirectory() as folder:
        async with await asyncio.start_unix_server(serve, f"{folder}/socket"):
            reader, writer = await asyncio.open_unix_connection(f"{folder}/socket")
            writer.write(b"unix\n")
            assert await reader.read() == b"unix\n"
            writer.close()


async def do_datagrams(scope: Any, receive: Any) -> None:
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            came.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"datagram", transport.get_extra_info("sockname"))
        assert await asyncio.wait_for(came, 5) == b"datagram"
    transport.close()


async def do_readers(scope: Any, receive: Any) -> None:
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    came = asyncio.Event()
    loop.add_reader(reading, came.set)
    loop.call_later(0.01, os.write, writing, b"x")
    await asyncio.wait_for(came.wait(), 5)
    assert loop.remove_reader(reading)
    os.close(reading)
    os.close(writing)


async def do_subprocess(scope: Any, receive: Any) -> None:
    program = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(3)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(b"words")
    assert (output, process.returncode) == (b"WORDS", 3)
    shell = await asyncio.create_subprocess_shell("exit 7")
    assert await shell.wait() == 7
    sleeper = await asyncio.create_subprocess_exec("sleep", "30")
    sleeper.terminate()
    assert await asyncio.wait_for(sleeper.wait(), 5) == -signal.SIGTERM


async def do_signals(scope: Any, receive: Any) -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR2, came.set)
    os.kill(os.getpid(), signal.SIGUSR2)
    await asyncio.wait_for(came.wait(), 5)
    assert loop.remove_signal_handler(signal.SIGUSR2)


async def do_generators(scope: Any, receive: Any) -> None:
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async for number in numbers():
        if number == 2:
            break
    for _ in range(100):
        await asyncio.sleep(0)
        if closed:
            return
    raise AssertionError("the generator was not finished")


async def do_fair(scope: Any, receive: Any) -> None:
    """Much that is ready at once does not starve what waits."""
    ticks = 0

    async def spin() -> None:
        nonlocal ticks
        for _ in range(2000):
            ticks += 1
            await asyncio.sleep(0)

    spinning = [asyncio.create_task(spin()) for _ in range(5)]
    await asyncio.wait_for(asyncio.to_thread(time.sleep, 0.001), 5)
    await asyncio.gather(*spinning)
    assert ticks == 10_000


# ---------------------------------------------------------------- anyio


async def do_anyio_scopes(scope: Any, receive: Any) -> None:
    with anyio.move_on_after(0.01) as moved:
        await anyio.sleep(10)
    assert moved.cancelled_caught
    with anyio.CancelScope() as outer:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 10)
            await anyio.sleep(0.001)
            outer.cancel()
    assert outer.cancelled_caught
    await anyio.sleep(0)


async def do_anyio_threads(scope: Any, receive: Any) -> None:
    variable.set("of the handler")

    async def on_the_loop() -> str:
        await anyio.sleep(0)
        return f"{variable.get()} {threading.get_ident()}"

    def in_a_thread() -> str:
        return anyio.from_thread.run(on_the_loop)

    assert await anyio.to_thread.run_sync(in_a_thread) == f"of the handler {threading.get_ident()}"


async def do_anyio_limiter(scope: Any, receive: Any) -> None:
    limiter = anyio.CapacityLimiter(2)
    together, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.002)
        with lock:
            together -= 1

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(lambda: anyio.to_thread.run_sync(work, limiter=limiter))
    assert 1 <= most <= 2
    assert anyio.to_thread.current_default_thread_limiter().total_tokens == 40


async def do_anyio_portal(scope: Any, receive: Any) -> None:
    async with anyio.from_thread.BlockingPortal() as portal:
        assert await anyio.to_thread.run_sync(portal.call, do_hello, None, None) == "hello"


async def do_anyio_streams(scope: Any, receive: Any) -> None:
    sending, receiving = anyio.create_memory_object_stream[int](1)

    async def produce() -> None:
        async with sending:
            for number in range(5):
                await sending.send(number)

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        assert [item async for item in receiving] == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------- libraries


async def do_sqlalchemy(scope: Any, receive: Any) -> None:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    async with engine.begin() as connection:
        await connection.execute(text("create table word (text varchar)"))
        for word in ("one", "two"):
            await connection.execute(text("insert into word values (:word)"), {"word": word})
        rows = await connection.execute(text("select text from word order by text"))
        assert [row.text for row in rows] == ["one", "two"]
    await engine.dispose()


async def do_aiohttp(scope: Any, receive: Any) -> None:
    import aiohttp

    host, port = scope["server"]
    async with aiohttp.ClientSession() as session:
        answers = await asyncio.gather(*(fetch(session, f"http://{host}:{port}/hello") for _ in range(10)))
    assert answers == ["hello"] * 10


async def fetch(session: Any, url: str) -> str:
    async with session.get(url) as response:
        text: str = await response.text()
        return text


async def do_httpx(scope: Any, receive: Any) -> None:
    import httpx

    host, port = scope["server"]
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://{host}:{port}/hello")).text == "hello"


async def do_grpc(scope: Any, receive: Any) -> None:
    import grpc

    async def upper(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0)
        return request.upper()

    server = grpc.aio.server()
    handlers = {"Upper": grpc.unary_unary_rpc_method_handler(upper)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Words", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/test.Words/Upper")
        answers = await asyncio.wait_for(asyncio.gather(*(call(b"word") for _ in range(20))), 10)
        assert answers == [b"WORD"] * 20
    await server.stop(None)


async def do_starlette_threads(scope: Any, receive: Any) -> None:
    from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

    variable.set("of the handler")
    assert await run_in_threadpool(variable.get) == "of the handler"
    assert [item async for item in iterate_in_threadpool(iter([1, 2]))] == [1, 2]
