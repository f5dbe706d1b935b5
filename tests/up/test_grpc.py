"""gRPC of a service in Rust, the example of the crate `pinnace`, as gRPC's own client for Python sees it."""

from __future__ import annotations

import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harbour import Harbour, Up
from program import Program
from test_rust import Alone
from waiting import LONGEST_WAIT, until

Start = Callable[..., Up]

PROTOCOL = Path(__file__).resolve().parents[1] / "protocol"
SHIPPING = {"health": "/-/health/ready", "route": "/shipments"}


@pytest.fixture(scope="session")
def protocol() -> tuple[Any, Any]:
    """The messages and the client, as grpcio-tools makes them from the protocol."""
    sys.path.insert(0, str(PROTOCOL))
    try:
        return grpc.protos_and_services("harbour.proto")  # type: ignore[no-any-return]
    finally:
        sys.path.remove(str(PROTOCOL))


class Desk:
    """A client of a desk, and the way to its REST face."""

    def __init__(self, protocol: tuple[Any, Any], port: int) -> None:
        self._messages, services = protocol
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.client = services.DeskStub(self.channel)
        self.rest = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST_WAIT)

    def parcel(self) -> Any:
        """Puts a parcel in by REST; what asks for it by gRPC."""
        answer = self.rest.post("/shipments", json={"sku": "anchor"})
        assert answer.status_code == 201, answer.text
        return self._messages.ParcelRequest(id=answer.json()["id"])

    def unknown(self) -> Any:
        return self._messages.ParcelRequest(id=4_000_000_000)

    def find(self, wanted: Any, **options: Any) -> Any:
        return self.client.Find(wanted, timeout=LONGEST_WAIT, **options)

    def follow(self, wanted: Any) -> Any:
        return self.client.Follow(wanted, timeout=LONGEST_WAIT)

    def metric(self, name: str) -> str:
        text = self.rest.get("/-/metrics").text
        return next((line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)), "")

    def close(self) -> None:
        self.channel.close()
        self.rest.close()


@pytest.fixture
def alone(shipping: str, tmp_path: Path) -> Iterator[Alone]:
    alone = Alone(shipping, tmp_path)
    yield alone
    alone.close()


@pytest.fixture
def desks(protocol: tuple[Any, Any]) -> Iterator[Callable[[int], Desk]]:
    opened: list[Desk] = []

    def open_desk(port: int) -> Desk:
        opened.append(Desk(protocol, port))
        return opened[-1]

    yield open_desk
    for desk in opened:
        desk.close()


@pytest.fixture
def served(alone: Alone, desks: Callable[[int], Desk]) -> tuple[Program, Desk]:
    program = alone.start(PORT="0")
    return program, desks(int(program.wait_for(r"answers.*127\.0\.0\.1:(\d+)")[1]))


def test_a_call_has_an_answer_a_status_an_id_and_a_line(served: tuple[Program, Desk]) -> None:
    program, desk = served
    wanted = desk.parcel()
    answer, call = desk.client.Find.with_call(wanted, metadata=[("x-request-id", "from-grpc")], timeout=LONGEST_WAIT)
    assert (answer.id, answer.has_arrived) == (wanted.id, False)
    assert ("x-request-id", "from-grpc") in [(key, value) for key, value in call.initial_metadata()]
    program.wait_for(r'"path":"/harbour\.v1\.Desk/Find","status":200,"grpc_status":"OK",.*"request_id":"from-grpc"')
    with pytest.raises(grpc.RpcError) as caught:
        desk.find(desk.unknown())
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "there is no such thing")
    program.wait_for(r'"path":"/harbour\.v1\.Desk/Find","status":200,"grpc_status":"NOT_FOUND"')
    assert desk.metric('grpc_server_handled_total{service_name="shipping",grpc_code="NOT_FOUND"}') == "1"


def test_what_does_not_exist_is_unimplemented(served: tuple[Program, Desk]) -> None:
    _, desk = served
    for path in ("/harbour.v1.Desk/Steal", "/harbour.v2.Desk/Find"):
        with pytest.raises(grpc.RpcError) as caught:
            desk.channel.unary_unary(path)(b"", timeout=LONGEST_WAIT)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_stream_ends_with_what_it_waited_for(served: tuple[Program, Desk]) -> None:
    program, desk = served
    wanted = desk.parcel()
    parcels = desk.follow(wanted)
    assert not next(parcels).has_arrived
    assert desk.metric("http_server_active_requests{") == "1"
    desk.rest.post(f"/shipments/{wanted.id}/arrival")
    assert [parcel.has_arrived for parcel in parcels] == [True]
    program.wait_for(r'"path":"/harbour\.v1\.Desk/Follow","status":200,"grpc_status":"OK"')


def test_a_caller_who_gives_up_is_seen(served: tuple[Program, Desk]) -> None:
    _, desk = served
    parcels = desk.follow(desk.parcel())
    next(parcels)
    parcels.cancel()
    until(lambda: desk.metric("pinnace_requests_abandoned_total{") == "1", "the end of the call")
    with pytest.raises(grpc.RpcError) as caught:
        list(desk.client.Follow(desk.parcel(), timeout=0.2))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_health_is_asked_and_watched_by_the_standard_client(served: tuple[Program, Desk]) -> None:
    program, desk = served
    health = health_pb2_grpc.HealthStub(desk.channel)

    def check(name: str) -> int:
        status: int = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=LONGEST_WAIT).status
        return status

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert check("") == check("harbour.v1.Desk") == serving
    with pytest.raises(grpc.RpcError) as caught:
        check("harbour.v2.Desk")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    watched = health.Watch(health_pb2.HealthCheckRequest(), timeout=LONGEST_WAIT)
    assert next(watched).status == serving
    program.tell(signal.SIGTERM)
    assert next(watched).status == not_serving
    assert program.wait() == 0, program.text
    assert "grpc.health" not in program.text, "as little as /-/health/ready"


def test_a_stream_that_is_open_when_the_service_ends_gets_its_last_word(served: tuple[Program, Desk]) -> None:
    program, desk = served
    parcels = desk.follow(desk.parcel())
    next(parcels)
    program.tell(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as caught:
        next(parcels)
    assert (caught.value.code(), caught.value.details()) == (
        grpc.StatusCode.UNAVAILABLE,
        "the desk closes; ask again",
    )
    assert program.wait() == 0, program.text


def test_a_process_that_takes_over_its_socket_loses_no_call(alone: Alone, desks: Callable[[int], Desk]) -> None:
    descriptor = alone.socket.fileno()
    desk = desks(alone.socket.getsockname()[1])
    old = alone.start(descriptor, LISTEN_FDS="1")
    old.wait_for("answers")
    enough, failed, answered = threading.Event(), [], 0

    def call() -> None:
        nonlocal answered
        while not enough.is_set():
            try:
                # Each process begins without parcels: that one has none is an answer.
                desk.find(desk.unknown())
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    failed.append(error)
                answered += 1

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(3):
            seen = answered
            until(lambda seen=seen: answered > seen + 50, "calls before")  # type: ignore[misc]
            new = alone.start(descriptor, LISTEN_FDS="1")
            new.wait_for("answers")
            old.tell(signal.SIGUSR1)
            assert old.wait() == 0, old.text
            old, seen = new, answered
            until(lambda seen=seen: answered > seen + 50, "calls afterwards")  # type: ignore[misc]
    finally:
        enough.set()
        for caller in callers:
            caller.join(LONGEST_WAIT)
    assert not failed
    assert old.end() == 0


def test_under_up_a_call_takes_the_address_of_the_service(
    harbour: Harbour, shipping: str, start: Start, desks: Callable[[int], Desk]
) -> None:
    harbour.program("shipping", shipping, **SHIPPING)
    up = start().settled()
    desk = desks(int(up.service("shipping")["url"].rpartition(":")[2]))
    wanted = desk.parcel()
    assert desk.find(wanted).id == wanted.id
    up.wait_for(r"shipping-1 +\| .* POST /harbour\.v1\.Desk/Find 200 OK \d+\.\dms 7B peer=.* request_id=\w{32}$")


# ---- through the gateway ----


def test_calls_and_streams_pass_the_gateway_with_their_statuses(
    harbour: Harbour, shipping: str, start: Start, desks: Callable[[int], Desk]
) -> None:
    keys = {**SHIPPING, "route": ["/shipments", "/harbour.v1.Desk"]}
    harbour.program("shipping", shipping, socket_activation=True, **keys)
    harbour.program("away", "sleep", "600", health="/", ready_timeout="1s", route="/nobody.v1.Desk")
    up = start().settled()
    desk = desks(int(up.service("gateway")["url"].rpartition(":")[2]))
    wanted = desk.parcel()
    answer, call = desk.client.Find.with_call(wanted, metadata=[("x-request-id", "from-grpc")], timeout=LONGEST_WAIT)
    assert answer.id == wanted.id
    assert ("x-request-id", "from-grpc") in [(key, value) for key, value in call.initial_metadata()]
    up.wait_for(r"shipping-1 +\| .*/harbour\.v1\.Desk/Find 200 .*request_id=from-grpc")
    with pytest.raises(grpc.RpcError) as unknown:
        desk.find(desk.unknown())
    assert (unknown.value.code(), unknown.value.details()) == (grpc.StatusCode.NOT_FOUND, "there is no such thing")
    # A stream gives its first message while it goes on, and ends when the parcel arrives.
    following = desk.follow(wanted)
    assert next(following).has_arrived is False
    assert desk.rest.post(f"/shipments/{wanted.id}/arrival").is_success
    assert [message.has_arrived for message in following][-1] is True
    # What the gateway refuses is a status too.
    nobody = desk.channel.unary_unary("/nobody.v1.Desk/Find", lambda _: b"", lambda answer: answer)
    with pytest.raises(grpc.RpcError) as refused:
        nobody(b"", timeout=LONGEST_WAIT)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "service `away` does not run at the moment" in str(refused.value.details())
    nowhere = desk.channel.unary_unary("/nowhere.v1.Desk/Find", lambda _: b"", lambda answer: answer)
    with pytest.raises(grpc.RpcError) as lost:
        nowhere(b"", timeout=LONGEST_WAIT)
    assert lost.value.code() is grpc.StatusCode.NOT_FOUND


ECHO = """
import os
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

def unary_unary(request, context):
    time.sleep(float(request or 0))
    context.set_trailing_metadata((("x-last", "word"),))
    return request

def unary_stream(request, context):
    for number in range(int(request)):
        yield str(number).encode()

def stream_unary(requests, context):
    return b" ".join(requests)

def stream_stream(requests, context):
    for request in requests:
        yield request.upper()

handlers = {name: getattr(grpc, name + "_rpc_method_handler")(globals()[name])
            for name in ("unary_unary", "unary_stream", "stream_unary", "stream_stream")}
server = grpc.server(ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.v1.Echo", handlers),))
server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
server.start()
server.wait_for_termination()
"""


def test_all_kinds_of_calls_pass_between_grpcio_and_grpcio(harbour: Harbour, start: Start) -> None:
    folder = harbour.program("echo", route="/echo.v1.Echo")
    (folder / "program.py").write_text(ECHO)
    up = start().settled()
    with grpc.insecure_channel(urlsplit(up.service("gateway")["url"]).netloc) as channel:
        path = "/echo.v1.Echo/"
        answer, call = channel.unary_unary(path + "unary_unary").with_call(b"0", timeout=LONGEST_WAIT)
        assert answer == b"0" and ("x-last", "word") in [tuple(pair) for pair in call.trailing_metadata()]
        many = channel.unary_stream(path + "unary_stream")(b"1000", timeout=LONGEST_WAIT)
        assert list(many) == [str(number).encode() for number in range(1000)]
        words = [b"a" * 100_000, b"b", b"c"]
        assert channel.stream_unary(path + "stream_unary")(iter(words), timeout=LONGEST_WAIT) == b" ".join(words)
        # Each message has its answer before the next one is sent.
        sent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        answers = channel.stream_stream(path + "stream_stream")(iter(sent.get, None), timeout=LONGEST_WAIT)
        for word in (b"ahoy", b"there"):
            sent.put(word)
            assert next(answers) == word.upper()
        sent.put(None)
        assert list(answers) == []
        with pytest.raises(grpc.RpcError) as late:
            channel.unary_unary(path + "unary_unary")(b"5", timeout=0.3)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
