"""Requests by a schedule, whether the server keeps up or not, as a crowd makes them."""

from __future__ import annotations

import asyncio
import http.client
import random
import threading
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Crowd:
    """What a crowd was answered: latencies in seconds, from the moment at which a request was due."""

    seconds: float
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        return len(self.accepted) / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.accepted)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Watcher:
    """Asks for one path again and again, on a thread of its own."""

    def __init__(self, port: int, path: str, pause: float = 0.05) -> None:
        self.latencies: list[float] = []
        self.statuses: set[int] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(port, path, pause), daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def _watch(self, port: int, path: str, pause: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not self._ended.wait(pause):
            began = time.perf_counter()
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            self.latencies.append(time.perf_counter() - began)
            self.statuses.add(response.status)
        connection.close()


def crowd(port: int, path: str, rate: float, seconds: float, seed: int = 1) -> Crowd:
    """Makes requests at random moments, at this rate in the mean."""
    return asyncio.run(_crowd(port, path, rate, seconds, seed))


def capacity(port: int, path: str, seconds: float, clients: int) -> float:
    """Requests a second that so many clients get answered, of which each waits for its answer."""
    return asyncio.run(_capacity(port, path, seconds, clients))


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _crowd(port: int, path: str, rate: float, seconds: float, seed: int) -> Crowd:
    drawn, seen, free = random.Random(seed), Crowd(seconds), list[Stream]()
    began = asyncio.get_running_loop().time()
    due, tasks = began, set[asyncio.Task[None]]()
    while (due := due + drawn.expovariate(rate)) < began + seconds:
        if (left := due - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)
        task = asyncio.create_task(_one(port, path, due, free, seen))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)
    for _, writer in free:
        writer.close()
    return seen


async def _one(port: int, path: str, due: float, free: list[Stream], seen: Crowd) -> None:
    try:
        stream = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        status, head = await _get(stream, path)
    except (OSError, EOFError) as error:
        seen.failed.append(repr(error))
        return
    latency = asyncio.get_running_loop().time() - due
    if status == 200:
        seen.accepted.append(latency)
    elif status == 503:
        seen.refused.append(latency)
        seen.without_retry_after += b"retry-after: " not in head.lower()
    else:
        seen.failed.append(str(status))
    free.append(stream)


async def _capacity(port: int, path: str, seconds: float, clients: int) -> float:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def client() -> int:
        stream, count = await asyncio.open_connection("127.0.0.1", port), 0
        while loop.time() < end:
            status, _ = await _get(stream, path)
            assert status == 200, status
            count += 1
        stream[1].close()
        return count

    return sum(await asyncio.gather(*(client() for _ in range(clients)))) / seconds


async def _get(stream: Stream, path: str) -> tuple[int, bytes]:
    reader, writer = stream
    writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split(b" ", 2)[1]), head
