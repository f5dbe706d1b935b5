"""How long a connection lasts, and what may be sent on it (RFC 9112 section 9, RFC 9110 section 10.1.1)."""

from __future__ import annotations

import pytest
from conftest import on
from servers import ASGI, Running, play
from test_http1_responses import body, start
from waiting import until

HELLO = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3")
def test_a_connection_is_kept(app: Running) -> None:
    with app.connect() as connection:
        for _ in range(3):
            connection.send(HELLO)
            answer = connection.answer()
            assert (answer.body, answer.one("connection")) in ((b"hello", None), (b"hello", "keep-alive"))


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.6")
@pytest.mark.parametrize("value", ["close", "Close", "foo, close"])
def test_close_ends_it(app: Running, value: str) -> None:
    with app.connect() as connection:
        connection.send(f"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: {value}\r\n\r\n".encode())
        assert connection.answer().body == b"hello"
        assert connection.ends()


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.6")
def test_close_is_answered_with_close(app: Running) -> None:
    assert app.get("/hello").one("connection") == "close"


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3")
def test_http_1_0_ends(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"GET /hello HTTP/1.0\r\n\r\n")
        assert connection.answer().body == b"hello"
        assert connection.ends()


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3")
def test_http_1_0_may_stay(app: Running) -> None:
    with app.connect() as connection:
        for _ in range(2):
            connection.send(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = connection.answer()
            assert (answer.body, (answer.one("connection") or "").lower()) == (b"hello", "keep-alive")


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3.2")
@pytest.mark.parametrize("count", [2, 20])
def test_pipelined_requests_are_answered_in_order(app: Running, token: str, count: int) -> None:
    with app.connect() as connection:
        for number in range(count):
            data = f"number {number}"
            head = f"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {len(data)}\r\n\r\n{data}"
            connection.send(head.encode())
        assert [connection.answer().body for _ in range(count)] == [f"number {n}".encode() for n in range(count)]


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3.2")
def test_pipelined_in_one_packet_with_chunked_bodies(app: Running) -> None:
    chunked = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with app.connect() as connection:
        connection.send(chunked + HELLO + chunked)
        assert [connection.answer().body for _ in range(3)] == [b"abc", b"hello", b"abc"]


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3.2")
def test_a_slow_answer_holds_up_those_behind_it(app: Running, token: str) -> None:
    slow = f"GET {play(token, ['gate', token], start(), body('slow'))} HTTP/1.1\r\nHost: test\r\n\r\n"
    with app.connect() as connection:
        connection.send(slow.encode() + HELLO)
        app.get(f"/open?gate={token}")
        assert [connection.answer().body for _ in range(2)] == [b"slow", b"hello"]


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.6")
def test_what_is_pipelined_behind_close_is_not_answered(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" + HELLO)
        assert connection.answer().body == b"hello"
        assert connection.ends()


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.6")
def test_a_half_closed_connection_is_answered(app: Running, token: str) -> None:
    with app.connect() as connection:
        steps = (["note", "begun"], ["gate", token], start(), body("answer"))
        connection.send(f"GET {play(token, *steps)} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        until(lambda: ["note", "begun"] in app.seen(token), "the request has begun")
        connection.half_close()
        app.get(f"/open?gate={token}")
        assert connection.answer().body == b"answer"


@on(*ASGI)
@pytest.mark.spec("RFC 9112 8")
def test_a_request_that_breaks_off_is_not_taken_for_a_whole_one(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, ["read"], start(), body("taken"))
        connection.send(f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfour".encode())
        until(lambda: app.get("/hello").body == b"hello", "the server has looked")
        connection.half_close()
        assert b"taken" not in connection.rest()
    until(lambda: ["ended"] in app.seen(token) or not app.seen(token), "the end of the script")
    assert ["read", 4] not in app.seen(token)


@on(*ASGI)
@pytest.mark.spec("RFC 9110 10.1.1")
def test_continue_is_said_when_the_body_is_wanted(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.head().status == 100
        connection.send(b"abc")
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, b"abc")
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("RFC 9110 10.1.1")
def test_continue_is_said_for_a_chunked_body(app: Running) -> None:
    with app.connect() as connection:
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nExpect: 100-Continue\r\n\r\n"
        )
        assert connection.head().status == 100
        connection.send(b"3\r\nabc\r\n0\r\n\r\n")
        assert connection.answer().body == b"abc"


@on(*ASGI)
@pytest.mark.spec("RFC 9110 10.1.1")
def test_continue_is_not_said_when_the_body_is_not_wanted(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(401, ("content-length", "2")), body("no"))
        head = f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        connection.send(head.encode())
        answer = connection.body(connection.head())
        assert (answer.status, answer.body) == (401, b"no")


@on(*ASGI)
@pytest.mark.spec("RFC 9110 10.1.1")
def test_continue_is_not_said_to_http_1_0(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        answer = connection.body(connection.head())
        assert (answer.status, answer.body) == (200, b"abc")


@on(*ASGI)
@pytest.mark.spec("RFC 9110 10.1.1")
def test_a_body_that_does_not_wait_for_continue(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        assert connection.answer().body == b"abc"
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3")
def test_an_unread_body_does_not_hurt_the_next_request(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("content-length", "2")), body("ok"))
        connection.send(f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nGET / bad".encode())
        assert connection.answer().body == b"ok"
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.3")
def test_a_large_unread_body_is_never_taken_for_a_request(app: Running, token: str) -> None:
    smuggled = b"GET /play?token=" + token.encode() + b"&script=%5B%5D HTTP/1.1\r\nHost: test\r\n\r\n"
    with app.connect() as connection:
        target = play(token + "-outer", start(200, ("content-length", "2")), body("ok"))
        padding = b"x" * 300_000
        head = f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(padding + smuggled)}\r\n\r\n"
        connection.send(head.encode() + padding + smuggled)
        assert connection.answer().body == b"ok"
        connection.half_close()
        connection.rest()
    assert app.seen(token) == []


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.8")
def test_a_client_that_sends_nothing_is_no_trouble(app: Running) -> None:
    with app.connect() as connection:
        connection.half_close()
        assert connection.rest() == b""
    assert app.get("/hello").status == 200
