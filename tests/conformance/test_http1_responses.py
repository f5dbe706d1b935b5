"""What becomes of an application's messages on the wire (ASGI HTTP spec; RFC 9110, RFC 9112)."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import on
from servers import ASGI, Running, play
from waiting import until
from wire import Answer, Ended


def start(status: int = 200, *headers: tuple[str, str], **more: Any) -> list[Any]:
    return [
        "send",
        {"type": "http.response.start", "status": status, "headers": [list(pair) for pair in headers], **more},
    ]


def body(data: str | None = "", more: bool = False, **extra: Any) -> list[Any]:
    message: dict[str, Any] = {"type": "http.response.body", **extra}
    if data is not None:
        message["body"] = data
    if more:
        message["more_body"] = True
    return ["send", message]


def played(
    app: Running, token: str, *steps: Any, method: str = "GET", version: str = "1.1", headers: str = ""
) -> Answer:
    """The answer to a script, on a connection that the server decides about."""
    with app.connect() as connection:
        head = f"{method} {play(token, *steps)} HTTP/{version}\r\nHost: test\r\n{headers}\r\n"
        connection.send(head.encode())
        return connection.answer(method)


RESPONSE = "ASGI HTTP: Response Start"
BODY = "ASGI HTTP: Response Body"


@on(*ASGI)
@pytest.mark.spec(RESPONSE)
@pytest.mark.parametrize("status", [200, 201, 206, 299, 301, 400, 404, 418, 451, 500, 503, 599])
def test_status(app: Running, token: str, status: int) -> None:
    answer = played(app, token, start(status), body("x"))
    assert (answer.status, answer.body) == (status, b"x")


@on(*ASGI)
@pytest.mark.spec("RFC 9112 4")
def test_reason(app: Running, token: str) -> None:
    answer = played(app, token, start(404), body("x"))
    assert (answer.version, answer.reason) == ("HTTP/1.1", "Not Found")


@on(*ASGI)
@pytest.mark.spec("RFC 9110 6.6.1")
def test_a_date_is_given(app: Running, token: str) -> None:
    date = played(app, token, start(), body("x")).one("date")
    assert date is not None and date.endswith(" GMT") and len(date) == 29


@on(*ASGI)
@pytest.mark.spec("RFC 9110 6.6.1")
def test_the_applications_date_stays_alone(app: Running, token: str) -> None:
    answer = played(app, token, start(200, ("date", "Sun, 06 Nov 1994 08:49:37 GMT")), body("x"))
    assert answer.all("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


@on(*ASGI)
@pytest.mark.spec("RFC 9112 6.1")
def test_a_length_is_kept(app: Running, token: str) -> None:
    answer = played(app, token, start(200, ("content-length", "3")), body("abc"))
    assert (answer.one("content-length"), answer.one("transfer-encoding"), answer.body) == ("3", None, b"abc")


@on(*ASGI)
@pytest.mark.spec("RFC 9112 6.1")
def test_a_length_over_parts(app: Running, token: str) -> None:
    answer = played(app, token, start(200, ("content-length", "6")), body("abc", True), body("def", True), body())
    assert (answer.one("content-length"), answer.one("transfer-encoding"), answer.body) == ("6", None, b"abcdef")


@on(*ASGI)
@pytest.mark.spec("RFC 9112 6.1")
def test_one_framing_without_a_length(app: Running, token: str) -> None:
    answer = played(app, token, start(), body("abc"))
    assert (answer.one("content-length") == "3") != (answer.one("transfer-encoding") == "chunked")
    assert answer.body == b"abc"


@on(*ASGI)
@pytest.mark.spec("RFC 9112 7.1")
def test_a_stream_is_chunked(app: Running, token: str) -> None:
    answer = played(app, token, start(), body("one ", True), body("two ", True), body("three"))
    assert (answer.one("transfer-encoding"), answer.body) == ("chunked", b"one two three")


@on(*ASGI)
@pytest.mark.spec("RFC 9112 7.1")
def test_an_empty_part_does_not_end_a_stream(app: Running, token: str) -> None:
    answer = played(app, token, start(), body("one ", True), body("", True), body(None, True), body("two"))
    assert answer.body == b"one two"


@on(*ASGI)
@pytest.mark.spec("RFC 9112 6.1")
def test_http_1_0_gets_no_chunks(app: Running, token: str) -> None:
    answer = played(app, token, start(), body("one ", True), body("two"), version="1.0")
    assert (answer.one("transfer-encoding"), answer.body) == (None, b"one two")


@on(*ASGI)
@pytest.mark.spec("RFC 9112 2.6")
def test_a_head_is_sent_before_the_body_is_complete(app: Running, token: str) -> None:
    with app.connect() as connection:
        steps = (start(), body("first", True), ["gate", token], body("second"))
        connection.send(f"GET {play(token, *steps)} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        head = connection.head()
        assert head.status == 200
        connection.until(b"first\r\n")
        app.get(f"/open?gate={token}")
        connection.until(b"second\r\n")


@on(*ASGI)
@pytest.mark.spec("RFC 9110 9.3.2")
def test_head_has_no_body(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("content-length", "5")), body("hello"))
        connection.send(f"HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        answer = connection.answer("HEAD")
        assert (answer.status, answer.one("content-length")) == (200, "5")
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("RFC 9110 9.3.2")
def test_head_of_a_stream_has_no_body(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(), body("one", True), body("two", True), body("three"))
        connection.send(f"HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert connection.answer("HEAD").status == 200
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("RFC 9110 6.4.1")
@pytest.mark.parametrize("status", [204, 304])
def test_no_body_where_none_may_be(app: Running, token: str, status: int) -> None:
    with app.connect() as connection:
        connection.send(f"GET {play(token, start(status), body())} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        answer = connection.answer()
        assert (answer.status, answer.one("transfer-encoding")) == (status, None)
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("RFC 9110 15.3.5")
@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_none_may_be_is_not_sent(app: Running, token: str, status: int) -> None:
    with app.connect() as connection:
        connection.send(f"GET {play(token, start(status), body('oops'))} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert connection.answer().status == status
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("RFC 9110 8.6")
def test_204_has_no_length(app: Running, token: str) -> None:
    answer = played(app, token, start(204, ("content-length", "0")), body())
    assert answer.one("content-length") is None


@on(*ASGI)
@pytest.mark.spec("RFC 9110 8.6")
def test_304_keeps_its_length(app: Running, token: str) -> None:
    answer = played(app, token, start(304, ("content-length", "5")), body())
    assert answer.one("content-length") == "5"


@on(*ASGI)
@pytest.mark.spec("RFC 9110 5.3")
def test_repeated_fields_stay_apart(app: Running, token: str) -> None:
    answer = played(app, token, start(200, ("set-cookie", "a=1"), ("x-a", "b"), ("set-cookie", "c=2")), body("x"))
    assert answer.all("set-cookie") == ["a=1", "c=2"]


@on(*ASGI)
@pytest.mark.spec("RFC 9110 5.5")
def test_bytes_in_values(app: Running, token: str) -> None:
    assert played(app, token, start(200, ("x-a", "caf\xe9")), body("x")).one("x-a") == "caf\xe9"


@on(*ASGI)
@pytest.mark.spec("ASGI HTTP: Response Start")
def test_framing_is_the_servers(app: Running, token: str) -> None:
    answer = played(app, token, start(200, ("transfer-encoding", "chunked")), body("one ", True), body("two"))
    assert (answer.all("transfer-encoding"), answer.body) == (["chunked"], b"one two")


@on(*ASGI)
@pytest.mark.spec("RFC 9112 9.6")
def test_an_application_may_end_the_connection(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("connection", "close"), ("content-length", "1")), body("x"))
        connection.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        answer = connection.answer()
        assert (answer.body, answer.one("connection")) == (b"x", "close")
        assert connection.ends()


@on(*ASGI)
@pytest.mark.spec(BODY)
def test_bytearray_is_bytes_enough(app: Running, token: str) -> None:
    assert played(app, token, start(), body("abc", as_bytearray=True)).body == b"abc"


@on(*ASGI)
@pytest.mark.spec(BODY)
def test_a_body_message_without_body(app: Running, token: str) -> None:
    assert played(app, token, start(), body(None)).body == b""


@on(*ASGI)
@pytest.mark.spec("ASGI: Headers")
def test_headers_may_be_left_out(app: Running, token: str) -> None:
    answer = played(app, token, ["send", {"type": "http.response.start", "status": 200}], body("x"))
    assert (answer.status, answer.body) == (200, b"x")


# ---------------------------------------------------------------- mistakes of the application


MISTAKES = {
    "raises-at-once": [["raise", "x"]],
    "raises-after-start": [start(), ["raise", "x"]],
    "says-nothing": [["note", "nothing"]],
    "body-first": [body("x")],
    "starts-twice": [start(), start(201), body("x")],
    "unknown-message": [["send", {"type": "http.response.rumour"}]],
    "line-end-in-value": [start(200, ("x-a", "one\r\nx-injected: two")), body("x")],
    "line-end-in-name": [start(200, ("x-a: b\r\nx-injected", "two")), body("x")],
    "nul-in-value": [start(200, ("x-a", "one\0two")), body("x")],
    "space-in-name": [start(200, ("x a", "v")), body("x")],
    "text-as-body": [start(), body("x", as_text=True)],
    "length-too-long": [start(200, ("content-length", "10")), body("four")],
    "length-too-short": [start(200, ("content-length", "2")), body("four")],
    "start-without-status": [["send", {"type": "http.response.start", "headers": []}]],
}


@on(*ASGI)
@pytest.mark.spec("RFC 9110 15.6.1")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_before_the_response_is_500(app: Running, token: str, name: str) -> None:
    answer = played(app, token, *MISTAKES[name])
    assert answer.status == 500, "no 500"
    assert answer.one("x-injected") is None
    assert b"Traceback" not in answer.body


@on(*ASGI)
@pytest.mark.spec("RFC 9112 8")
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_mistake_in_the_middle_is_no_complete_response(app: Running, token: str, framing: str) -> None:
    headers = [("content-length", "100")] if framing == "length" else []
    with pytest.raises(Ended):
        played(app, token, start(200, *headers), body("begun", True), ["raise", "x"])


@on(*ASGI)
@pytest.mark.spec("RFC 9112 8")
def test_an_end_in_the_middle_is_no_complete_response(app: Running, token: str) -> None:
    with pytest.raises(Ended):
        played(app, token, start(), body("begun", True))


@on(*ASGI)
@pytest.mark.spec("RFC 9112 6.3")
def test_a_stream_that_exceeds_its_length_is_cut(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("content-length", "4")), body("fo", True), body("ur and more"))
        connection.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        # Whether the head was on its way already depends on the server.
        sent = connection.rest().partition(b"\r\n\r\n")[2]
        assert sent in (b"", b"fo", b"four")


@on(*ASGI)
@pytest.mark.spec(BODY)
def test_a_message_after_the_end_reaches_nobody(app: Running, token: str) -> None:
    late = ["try", {"type": "http.response.body", "body": "late"}]
    with app.connect() as connection:
        target = play(token, start(200, ("content-length", "2")), body("ok"), late)
        connection.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert connection.answer().body == b"ok"
        until(lambda: ["ended"] in app.seen(token), "the end of the script")
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("ASGI HTTP: Disconnect - receive event")
def test_after_the_response_comes_a_disconnect(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, ["receive"], start(), body("ok"), ["receive"])
        connection.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert connection.answer().body == b"ok"
        until(lambda: ["ended"] in app.seen(token), "the end of the script")
    assert app.seen(token)[1] == ["received", {"type": "http.disconnect"}]


@on(*ASGI)
@pytest.mark.spec("RFC 9110 15.6.1")
def test_a_mistake_does_not_hurt_the_next_request(app: Running, token: str) -> None:
    assert played(app, token, ["raise", "x"]).status == 500
    assert app.get("/hello").body == b"hello"
