"""Workers that have done enough make way for new ones, while clients post without a pause."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from served import Served
from waiting import until

Serve = Callable[..., Served]

# Each request keeps a megabyte for ever.
LEAK = """
kept = []
answer = app
async def app(scope, receive, send):
    if scope["type"] == "http":
        kept.append(bytearray(b"x") * (1 << 20))
    await answer(scope, receive, send)
"""


class Load:
    """What clients saw."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.workers: set[str] = set()
        self.count = 0


@contextmanager
def load(port: int, clients: int = 4) -> Iterator[Load]:
    """Clients that post on kept connections without a pause; a failed request is remembered and never tried again."""
    seen = Load()
    stop = threading.Event()

    def post() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        while not stop.is_set():
            try:
                connection.request("POST", "/", body=b"x" * 100)
                response = connection.getresponse()
                text = response.read().decode()
                if response.status != 200:
                    seen.failures.append(f"{response.status} {text}")
                seen.workers.add(text.split()[1])
                seen.count += 1
            except (OSError, HTTPException) as error:
                seen.failures.append(repr(error))
                connection.close()
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def renewals(served: Served, why: str) -> int:
    return sum(re.search(rf"worker \d+ is replaced by \d+: {why}", line) is not None for line in served.lines)


def renewed(served: Served, why: str, times: int) -> bool:
    return renewals(served, why) >= times


def test_workers_are_replaced_by_their_requests_without_a_failed_one(serve: Serve) -> None:
    served = serve("--workers", "2", "--max-requests", "100", "--max-requests-jitter", "50", "--no-access-log")
    with load(served.port) as seen:
        until(partial(renewed, served, "it has answered", 4), "four replacements")
        until(lambda: len(seen.workers) >= 5, "others answer than at first")
    assert seen.failures == []
    assert seen.count > 400
    assert served.end() == 0


def test_a_worker_that_grows_is_replaced_without_a_failed_request(serve: Serve, folder: Path) -> None:
    main = folder / "main.py"
    main.write_text(main.read_text() + LEAK)
    served = serve("--max-memory", "160MiB", "--no-access-log")
    with load(served.port, clients=2) as seen:
        until(partial(renewed, served, r"it has \d+MiB of memory, 160MiB is its ceiling", 1), "a replacement")
        first = set(seen.workers)
        until(lambda: bool(seen.workers - first), "the new one answers")
    assert seen.failures == []
    assert served.end() == 0


def test_a_worker_is_replaced_by_its_age_without_a_failed_request(serve: Serve) -> None:
    served = serve("--workers", "2", "--max-lifetime", "1s", "--max-lifetime-jitter", "500ms", "--no-access-log")
    with load(served.port) as seen:
        until(partial(renewed, served, "it has answered for", 3), "three replacements")
    assert seen.failures == []
    assert served.end() == 0


def test_a_ceiling_below_the_applications_own_size_is_told_once_and_is_no_loop(serve: Serve) -> None:
    served = serve("--max-memory", "1MiB", "--max-requests", "20", "--no-access-log")
    assert served.get()[0] == 200
    before = served.workers()
    served.wait_for("--max-memory is 1MiB: no replacement would be smaller")
    with load(served.port) as seen:
        until(partial(renewed, served, "it has answered", 2), "two replacements by requests")
    assert seen.failures == []
    assert renewals(served, "it has .* of memory") == 0, served.text
    assert sum("no replacement would be smaller" in line for line in served.lines) == 1
    assert before != served.workers()
    assert served.end() == 0


def test_a_successor_that_does_not_start_leaves_the_old_one_at_work(serve: Serve, folder: Path) -> None:
    served = serve("--max-requests", "5", "--no-access-log")
    assert served.get()[0] == 200
    before = served.workers()
    main = folder / "main.py"
    good = main.read_text()
    main.write_text("import nothing_of_that_name\n")
    with load(served.port, clients=1) as seen:
        served.wait_for("the new one did not start .*the old one goes on")
        assert before <= served.workers()
        main.write_text(good)
        until(partial(renewed, served, "it has answered", 1), "it is tried again")
    assert seen.failures == []
    assert served.end() == 0
