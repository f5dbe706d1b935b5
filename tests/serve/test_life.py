"""The life of workers: started, replaced, reloaded, drained, and never left behind."""

from __future__ import annotations

import functools
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

from processes import children
from served import Served
from waiting import LONGEST_WAIT, until

Serve = Callable[..., Served]


def test_an_application_is_found_and_answers(serve: Serve) -> None:
    served = serve("--workers", "2")
    status, body = served.get()
    assert status == 200 and body.startswith("one ")
    assert served.wait_for(r"ASGI .*\(main:app\) on CPython .* 2 workers")
    until(lambda: len(served.workers()) == 2, "two workers")
    assert served.end() == 0


def test_a_killed_worker_is_replaced_and_its_begun_request_is_named(serve: Serve) -> None:
    served = serve()
    connection = served.connect()
    request_id = uuid.uuid4().hex
    connection.request("GET", "/slow?30", headers={"X-Request-Id": request_id})
    until(lambda: "http_server_active_requests{service_name=" in served.get("/-/metrics")[1], "metrics")
    until(lambda: active(served) >= 1, "the request has begun")
    (worker,) = served.workers()
    os.kill(worker, signal.SIGKILL)
    line = served.wait_for(rf"worker {worker} ended \(signal 9 .*1 request was begun")
    assert request_id in line.string
    until(lambda: served.workers() not in ({worker}, set()), "a new worker")
    assert served.get()[0] == 200
    assert "pinnace_requests_lost_total" in served.get("/-/metrics")[1]
    connection.close()


def test_one_that_retires_still_answers_on_the_connections_that_it_has_and_hurries_when_told(serve: Serve) -> None:
    served = serve("--workers", "2")
    connection = served.connect()
    connection.request("GET", "/")
    assert connection.getresponse().read().startswith(b"one ")
    served.process.send_signal(signal.SIGUSR1)
    # An idle connection may carry a request at any moment: it is answered, and told to be the last.
    until(lambda: posts_for_the_last_time(connection), "an answer that is the last one")
    told = time.monotonic()
    assert served.end() == 0
    assert time.monotonic() - told < 5, "SIGTERM cuts the linger of 6 s short"
    connection.close()


def posts_for_the_last_time(connection: HTTPConnection) -> bool:
    connection.request("POST", "/", body=b"x")
    response = connection.getresponse()
    assert response.status == 200
    response.read()
    return response.getheader("connection") == "close"


def active(served: Served) -> int:
    rows = served.get("/-/metrics")[1].splitlines()
    return sum(int(row.split()[-1]) for row in rows if row.startswith("http_server_active_requests{"))


def test_a_reload_under_load_loses_no_request_and_brings_the_new_code(serve: Serve, folder: Path) -> None:
    served = serve("--workers", "2")
    port = served.port
    stop = threading.Event()
    answers: list[str] = []
    failures: list[str] = []

    def post_without_pause() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        while not stop.is_set():
            try:
                connection.request("POST", "/", body=b"x" * 100)
                response = connection.getresponse()
                answers.append(response.read().decode())
                if response.status != 200:
                    failures.append(str(response.status))
            except OSError as error:
                failures.append(repr(error))
                connection.close()
        connection.close()

    clients = [threading.Thread(target=post_without_pause) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for round_number in range(1, 4):
            source = (folder / "main.py").read_text().splitlines()
            source = [f'VERSION = "round{round_number}"' if line.startswith("VERSION") else line for line in source]
            (folder / "main.py").write_text("\n".join(source) + "\n")
            before = reloads(served)
            served.process.send_signal(signal.SIGHUP)
            until(functools.partial(has_reloaded, served, before), "a reload")
            until(functools.partial(has_answered, answers, len(answers), f"round{round_number} "), "the new code")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert failures == []
    assert len(answers) > 100
    assert served.end() == 0


def reloads(served: Served) -> int:
    return sum("reloaded in" in line for line in served.lines)


def has_reloaded(served: Served, before: int) -> bool:
    return reloads(served) > before


def has_answered(answers: list[str], seen: int, start: str) -> bool:
    return any(answer.startswith(start) for answer in answers[seen:])


def test_a_reload_that_does_not_import_keeps_the_old_workers(serve: Serve, folder: Path) -> None:
    served = serve()
    before = served.get()[1].split()[1]
    (folder / "main.py").write_text("import nothing_of_that_name\n")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for(r"not reloaded, the old workers go on")
    served.wait_for(r"nothing_of_that_name")
    assert served.get()[1].split()[1] == before
    assert served.end() == 0


def test_a_stop_lets_begun_requests_finish(serve: Serve) -> None:
    served = serve()
    connection = served.connect()
    connection.request("GET", "/slow?0.5")
    until(lambda: active(served) >= 1, "the request has begun")
    served.process.send_signal(signal.SIGTERM)
    response = connection.getresponse()
    assert response.status == 200 and response.read().startswith(b"one ")
    connection.close()
    assert served.process.wait(30) == 0


LEFT = """
import pathlib, time

def app(environ, start_response):
    start_response("200 OK", [])
    return Answer()

class Answer:
    def __iter__(self):
        pathlib.Path("begun").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        yield b"ahoy"

    def close(self):
        pathlib.Path("closed").touch()
"""


def test_a_stop_lets_a_thread_finish_what_its_client_has_left(serve: Serve, folder: Path) -> None:
    (folder / "main.py").write_text(LEFT)
    served = serve("--interface", "wsgi")
    connection = served.connect()
    connection.request("GET", "/")
    until(lambda: (folder / "begun").exists(), "the request has begun")
    connection.close()
    served.process.send_signal(signal.SIGTERM)
    until(lambda: is_refused(served.port), "nobody is accepted any more")
    (folder / "go").touch()
    assert served.wait() == 0
    assert (folder / "closed").exists(), "the worker has ended in the middle of a request"


def is_refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LONGEST_WAIT):
            return False
    except ConnectionRefusedError:
        return True


def test_a_second_signal_ends_at_once(serve: Serve) -> None:
    served = serve()
    connection = served.connect()
    connection.request("GET", "/slow?30")
    until(lambda: active(served) >= 1, "the request has begun")
    worker = served.workers()
    served.process.send_signal(signal.SIGINT)
    served.wait_for("a second Ctrl-C ends it at once")
    served.process.send_signal(signal.SIGINT)
    served.process.wait(5)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in worker), "the worker is gone")
    connection.close()


def test_a_killed_parent_leaves_no_worker(serve: Serve) -> None:
    served = serve("--workers", "3")
    assert served.get()[0] == 200
    until(lambda: len(served.workers()) == 3, "three workers")
    workers = served.workers()
    served.end(signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), "no worker is left")
    assert children(served.process.pid) == []
