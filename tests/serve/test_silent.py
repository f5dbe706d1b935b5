"""A worker whose event loop is blocked is replaced, and says first where its threads stand."""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from served import Served
from waiting import until

Serve = Callable[..., Served]

ASGI = """
import os
import time

def wait_for_ever(seconds):
    time.sleep(seconds)

async def app(scope, receive, send):
    if scope["query_string"]:
        wait_for_ever(float(scope["query_string"]))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""
WSGI = """
import os
import time

def app(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture
def blocking(folder: Path) -> Path:
    (folder / "main.py").write_text(ASGI)
    return folder


def test_a_blocked_worker_is_replaced_and_its_stacks_are_in_the_log(blocking: Path, serve: Serve) -> None:
    served = serve("--worker-timeout", "1s", "--workers", "2")
    assert served.get()[0] == 200
    until(lambda: len(served.workers()) == 2, "two workers")
    connection, request_id = served.connect(), uuid.uuid4().hex
    connection.request("GET", "/?600", headers={"X-Request-Id": request_id})
    pid = int(served.wait_for(r"worker (\d+) is replaced: its event loop did not get its turn for 1s")[1])
    assert served.wait_for(r'File ".*main\.py", line \d+ in wait_for_ever')
    ended = served.wait_for(rf"worker {pid} ended \(its event loop .*1 request was begun").string
    assert request_id in ended
    until(lambda: len(served.workers() - {pid}) == 2, "another one is there")
    assert served.get()[0] == 200
    connection.close()


def test_one_that_is_stopped_is_replaced_too(blocking: Path, serve: Serve) -> None:
    served = serve("--worker-timeout", "1s")
    assert served.get()[0] == 200
    (worker,) = served.workers()
    os.kill(worker, signal.SIGSTOP)
    served.wait_for(rf"worker {worker} ended \(its event loop")
    until(lambda: served.workers() not in ({worker}, set()), "a new worker")
    assert served.get()[0] == 200


def test_one_that_is_busy_again_and_again_is_left_alone(blocking: Path, serve: Serve) -> None:
    served = serve("--worker-timeout", "2s")
    pids = {served.get("/?0.5")[1] for _ in range(8)}
    assert len(pids) == 1 and not re.search("replaced", served.text)


def test_a_handler_on_a_thread_may_take_its_time(folder: Path, serve: Serve) -> None:
    (folder / "main.py").write_text(WSGI)
    served = serve("--worker-timeout", "500ms")
    pid = served.get()[1]
    assert served.get("/?3")[1] == pid == served.get()[1]


@pytest.mark.parametrize("arguments", [("--worker-timeout", "0s"), ("--worker-timeout", "500ms", "--reload")])
def test_where_it_is_switched_off_a_worker_may_be_silent(
    blocking: Path, serve: Serve, arguments: tuple[str, ...]
) -> None:
    served = serve(*arguments)
    pid = served.get()[1]
    assert served.get("/?3")[1] == pid
