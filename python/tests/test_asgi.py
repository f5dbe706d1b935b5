"""The ASGI bridge, message by message."""

from __future__ import annotations

import asyncio
import http.client
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import parent
import pytest
import websockets


@pytest.fixture(scope="module")
def worker() -> Iterator[parent.WorkerProcess]:
    with parent.serving("plain_asgi:app", Path(__file__).parent / "apps") as running:
        yield running


@pytest.fixture
def client(worker: parent.WorkerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=worker.url, timeout=30) as opened:
        yield opened


def seen(client: httpx.Client, key: str) -> int:
    value = eval(client.get("/seen").text, {"__builtins__": {}}, {})[key]
    assert isinstance(value, int)
    return value


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true")


def test_the_lifespans_state_reaches_each_request(client: httpx.Client) -> None:
    assert client.get("/hello").text == "hello"


def test_the_scope_has_the_path_decoded_and_raw(client: httpx.Client) -> None:
    scope = client.get("/scope%2F?a=%20b").text
    assert "'path': '/scope/'" in scope
    assert "'raw_path': b'/scope%2F'" in scope
    assert "'query_string': b'a=%20b'" in scope


def test_http2_is_spoken_with_prior_knowledge(worker: parent.WorkerProcess) -> None:
    with httpx.Client(base_url=worker.url, http1=False, http2=True) as client:
        answer = client.get("/scope", headers=[("cookie", "a=1"), ("cookie", "b=2")])
        assert answer.http_version == "HTTP/2"
        assert "'http_version': '2'" in answer.text
        assert "(b'host', b'127.0.0.1:" in answer.text
        assert "(b'cookie', b'a=1; b=2')" in answer.text


def test_a_body_arrives_whole(client: httpx.Client) -> None:
    for size in (0, 1, 8191, 65_537, 1_000_000):
        body = bytes(range(256)) * (size // 256 + 1)
        assert client.post("/echo", content=body[:size]).content == body[:size]


def test_a_chunked_body_arrives_whole(client: httpx.Client) -> None:
    assert (
        client.post("/echo", content=iter([b"a" * 10, b"b" * 100_000, b"c"])).content
        == b"a" * 10 + b"b" * 100_000 + b"c"
    )


def test_a_body_is_echoed_while_it_is_sent(worker: parent.WorkerProcess) -> None:
    with socket.create_connection(worker.address, 10) as connection:
        connection.sendall(b"POST /stream-echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        received = b""
        while b"one" not in received:
            received += connection.recv(4096)
        connection.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(4096)
        assert b"two" in received


def test_100_continue_is_sent_only_when_the_body_is_wanted(worker: parent.WorkerProcess) -> None:
    with socket.create_connection(worker.address, 10) as connection:
        connection.sendall(b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    with socket.create_connection(worker.address, 10) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        assert connection.recv(4096).endswith(b"abc")


def test_a_large_upload_and_download_stay_in_bounds(worker: parent.WorkerProcess, client: httpx.Client) -> None:
    size = 64 << 20
    chunk = b"x" * (1 << 20)
    assert client.post("/size", content=(chunk for _ in range(size >> 20))).text == str(size)
    assert len(client.get("/large").content) == size
    assert peak_memory(worker) < 200 << 20


def test_a_slow_reader_holds_the_application_up(worker: parent.WorkerProcess, client: httpx.Client) -> None:
    before = seen(client, "disconnects")
    with socket.create_connection(worker.address, 10) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(1000)
        steady(lambda: seen(client, "sent"))
        assert seen(client, "sent") < 64 << 20
    until(lambda: seen(client, "disconnects") == before + 1)


def test_a_waiting_application_hears_of_the_disconnect(worker: parent.WorkerProcess, client: httpx.Client) -> None:
    before = seen(client, "disconnects")
    with socket.create_connection(worker.address, 10) as connection:
        connection.sendall(b"POST /wait-for-disconnect HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        time.sleep(0.05)
    until(lambda: seen(client, "disconnects") == before + 1)


def test_head_and_204_have_no_body(client: httpx.Client) -> None:
    head = client.head("/hello")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
    empty = client.get("/no-content")
    assert (empty.status_code, empty.content) == (204, b"")
    assert "content-length" not in empty.headers
    assert client.head("/large").status_code == 200
    assert client.get("/hello").text == "hello"


def test_an_exception_before_the_response_is_500_with_its_traceback_in_the_log(
    worker: parent.WorkerProcess, client: httpx.Client
) -> None:
    answer = client.get("/raise")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "ValueError" not in answer.text
    log = worker.wait_for_log("ValueError: raised before the response")
    assert "Traceback" in log


def test_an_exception_in_the_middle_cuts_the_connection(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/raise-late")


def test_an_application_that_says_nothing_is_500(client: httpx.Client) -> None:
    assert client.get("/nothing").status_code == 500


def test_a_body_that_contradicts_its_length_is_500(client: httpx.Client) -> None:
    assert client.get("/short").status_code == 500


def test_contexts_are_kept_apart(client: httpx.Client) -> None:
    assert [client.get(f"/context?{value}").text for value in "ab"] == ["unset a", "unset b"]


def test_programs_that_a_handler_starts_have_default_signals(client: httpx.Client) -> None:
    assert "function" not in client.get("/subprocess").text


@pytest.mark.parametrize(("path", "text"), [("timeout", "timed out"), ("threads", "from a thread")])
def test_asyncio_works_in_a_handler(client: httpx.Client, path: str, text: str) -> None:
    assert client.get(f"/{path}").text == text


def test_receive_can_be_a_task(client: httpx.Client) -> None:
    assert client.post("/receive-task", content=b"body").text == "body"


def test_a_request_id_is_taken_over_or_made(client: httpx.Client) -> None:
    taken = client.get("/scope", headers={"x-request-id": "abc-1"})
    assert taken.headers["x-request-id"] == "abc-1"
    assert "(b'x-request-id', b'abc-1')" in taken.text
    assert len(client.get("/hello", headers={"x-request-id": "bad id"}).headers["x-request-id"]) == 32


def test_a_thousand_connections_are_kept_alive(worker: parent.WorkerProcess) -> None:
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    connections = [http.client.HTTPConnection(*worker.address, timeout=30) for _ in range(count)]
    try:
        for _ in range(3):
            for connection in connections:
                connection.request("GET", "/hello")
            for connection in connections:
                assert connection.getresponse().read() == b"hello"
    finally:
        for connection in connections:
            connection.close()


def test_management_paths_are_answered_beside_the_application(client: httpx.Client) -> None:
    assert client.get("/-/health/live").json() == {"status": "ok"}
    assert client.get("/-/health/ready").status_code == 200
    assert client.get("/-/info").json()["service"] == "tested"
    assert "http_server_request_duration_seconds_count" in client.get("/-/metrics").text
    assert client.post("/-/metrics").status_code == 405


# ---------------------------------------------------------------- WebSocket


def address(worker: parent.WorkerProcess, query: str = "") -> str:
    return f"ws://{worker.address[0]}:{worker.address[1]}/socket?{query}"


def test_messages_go_both_ways(worker: parent.WorkerProcess) -> None:
    async def converse() -> None:
        async with websockets.connect(address(worker), subprotocols=["chat", "other"], max_size=None) as socket:
            assert socket.subprotocol == "chat"
            assert socket.response is not None
            assert socket.response.headers["x-extra"] == "yes"
            for message in ("text ä", b"bytes", "x" * 1_000_000):
                await socket.send(message)
                assert await socket.recv() == message
            await (await socket.ping())

    asyncio.run(converse())


def test_close_codes_are_passed_on(worker: parent.WorkerProcess, client: httpx.Client) -> None:
    async def closed_by_us() -> None:
        async with websockets.connect(address(worker)) as socket:
            await socket.close(4002, "enough")

    async def closed_by(message: str) -> tuple[int | None, str | None]:
        async with websockets.connect(address(worker)) as socket:
            await socket.send(message)
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            return socket.close_code, socket.close_reason

    before = seen(client, "disconnects")
    asyncio.run(closed_by_us())
    until(lambda: seen(client, "disconnects") == before + 1)
    assert seen(client, "code") == 4002
    assert asyncio.run(closed_by("close")) == (4001, "as asked")
    assert asyncio.run(closed_by("raise"))[0] == 1011
    assert asyncio.run(closed_by("return"))[0] == 1000


def test_a_broken_connection_is_1006(worker: parent.WorkerProcess, client: httpx.Client) -> None:
    async def breaks() -> None:
        socket = await websockets.connect(address(worker))
        socket.transport.abort()

    before = seen(client, "disconnects")
    asyncio.run(breaks())
    until(lambda: seen(client, "disconnects") == before + 1)
    assert seen(client, "code") == 1006


def test_a_handshake_can_be_denied(worker: parent.WorkerProcess) -> None:
    async def denied(query: str) -> int:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(address(worker, query))
        return refused.value.response.status_code

    assert asyncio.run(denied("deny")) == 403
    assert asyncio.run(denied("refuse")) == 418


def peak_memory(worker: parent.WorkerProcess) -> int:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def steady(value: Callable[[], int]) -> None:
    """Waits until a value does not change any more."""
    last = -1
    until_equal = 0
    while until_equal < 5:
        current = value()
        until_equal = until_equal + 1 if current == last else 0
        last = current
        time.sleep(0.02)
