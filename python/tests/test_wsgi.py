"""The WSGI bridge (PEP 3333)."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import parent
import pytest

APPS = Path(__file__).parent / "apps"


@pytest.fixture(scope="module", params=["app", "validated"])
def worker(request: pytest.FixtureRequest) -> Iterator[parent.WorkerProcess]:
    with parent.serving(f"plain_wsgi:{request.param}", APPS, interface="wsgi") as running:
        assert running.events[0]["interface"] == "wsgi"
        yield running


@pytest.fixture
def client(worker: parent.WorkerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=worker.url, timeout=30) as opened:
        yield opened


def test_headers_are_latin_1(client: httpx.Client) -> None:
    answer = client.get("/hello")
    assert answer.text == "hello"
    assert (b"x-latin", b"caf\xe9") in [(name.lower(), value) for name, value in answer.headers.raw]


def test_the_environ_follows_the_pep(client: httpx.Client) -> None:
    headers = [("x-one", "1"), ("x-one", "2"), ("x_one", "spoofed"), ("cookie", "a=1"), ("cookie", "b=2")]
    environ = eval(client.get("/environ?a=%20b", headers=headers).text, {"__builtins__": {}}, {})
    assert environ["QUERY_STRING"] == "a=%20b"
    assert environ["HTTP_X_ONE"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert client.get("/caf%C3%A9").content == "/café".encode()


def test_a_body_is_read_in_every_way(client: httpx.Client) -> None:
    body = b"one\ntwo\nthree\nfour\nfive"
    assert client.post("/echo", content=body).content == body
    lines = eval(client.post("/lines", content=body).text, {"__builtins__": {}}, {})
    assert b"".join(lines) == body
    assert lines[:2] == [b"one\n", b"two"]
    assert client.post("/size", content=iter([b"x" * 100_000] * 20)).text == "2000000"


def test_a_stream_is_sent_and_closed(worker: parent.WorkerProcess, client: httpx.Client) -> None:
    assert client.get("/stream").content == b"one two three"
    worker.wait_for_log("closed")


def test_write_comes_before_what_is_returned(client: httpx.Client) -> None:
    assert client.get("/write").content == b"written returned"


def test_the_head_can_be_replaced_until_it_is_sent(client: httpx.Client) -> None:
    assert (client.get("/exc-info").status_code, client.get("/exc-info").content) == (503, b"replaced")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/late-exc-info")


def test_exceptions_are_500_or_cut_the_connection(worker: parent.WorkerProcess, client: httpx.Client) -> None:
    assert client.get("/raise").status_code == 500
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/raise-late")
    worker.wait_for_log("ValueError: raised in the middle")


def test_head_and_204_have_no_body(client: httpx.Client) -> None:
    assert client.head("/hello").headers.get("content-length", "5") == "5"
    assert client.head("/large").status_code == 200
    assert client.get("/no-content").status_code == 204


def test_contexts_are_kept_apart(client: httpx.Client) -> None:
    assert {client.get("/context").text for _ in range(20)} == {"unset"}


def test_a_large_download_arrives(client: httpx.Client) -> None:
    assert len(client.get("/large").content) == 32 << 20


def test_an_abandoned_stream_is_closed_and_frees_its_thread() -> None:
    with parent.serving("plain_wsgi:app", APPS, threads=1) as worker:
        with socket.create_connection(worker.address, 10) as connection:
            connection.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(1000)
        assert httpx.get(worker.url + "/hello", timeout=30).text == "hello"
        worker.wait_for_log("closed")


def test_files_are_wrapped() -> None:
    with parent.serving("plain_wsgi:app", APPS) as worker:
        assert httpx.get(worker.url + "/file").content == b"z" * 100_000


def test_requests_run_on_so_many_threads_and_the_rest_is_told_to_come_again() -> None:
    with parent.serving("plain_wsgi:app", APPS, threads=2, queue=1) as worker:
        waiting = [threading.Thread(target=ask, args=(worker.url + "/wait",)) for _ in range(2)]
        for thread in waiting:
            thread.start()
        # Both threads are busy: one more may wait.
        active = 'http_server_active_requests{service_name="tested"} '
        parent_until(lambda: active + "2" in httpx.get(worker.url + "/-/metrics").text)
        queued = threading.Thread(target=ask, args=(worker.url + "/hello",))
        queued.start()
        parent_until(lambda: active + "3" in httpx.get(worker.url + "/-/metrics").text)
        refused = httpx.get(worker.url + "/hello")
        worker.drain(timeout_ms=0)
        worker.until("stopped")
        for thread in [*waiting, queued]:
            thread.join()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["code"] == "unavailable"


def test_idle_connections_hold_no_thread() -> None:
    with parent.serving("plain_wsgi:app", APPS, threads=1) as worker:
        clients = [httpx.Client(base_url=worker.url) for _ in range(50)]
        try:
            for client in clients * 2:
                assert client.get("/hello").text == "hello"
        finally:
            for client in clients:
                client.close()


def ask(url: str) -> None:
    """Asks without caring for the answer, which is cut off in the end."""
    with contextlib.suppress(httpx.TransportError):
        httpx.get(url, timeout=30)


def parent_until(condition) -> None:  # type: ignore[no-untyped-def]
    import time

    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true")
