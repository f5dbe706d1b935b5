"""Disconnects, and back-pressure both ways: what an application hears of its client, and the client of it."""

from __future__ import annotations

import json
import time

import pytest
from conftest import on
from servers import ASGI, Running, play
from test_http1_responses import body, start
from waiting import until

DISCONNECT = "ASGI HTTP: Disconnect - receive event"
SEND = "ASGI HTTP: Response Body"
PLENTY = 256 << 20


def ask(target: str, method: str = "GET", headers: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n".encode()


def noted(app: Running, token: str, what: object) -> bool:
    return what in app.seen(token)


def ended(app: Running, token: str) -> bool:
    return noted(app, token, ["ended"])


@on(*ASGI)
@pytest.mark.spec(DISCONNECT)
@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_waiting_application_hears_that_its_client_has_gone(app: Running, token: str, how: str) -> None:
    connection = app.connect()
    connection.send(ask(play(token, ["read"], ["note", "waits"], ["gone"])))
    until(lambda: noted(app, token, ["note", "waits"]), "the application waits")
    getattr(connection, how)()
    until(lambda: ended(app, token), "the end of the script")
    assert app.seen(token)[-2:] == [["gone", {"type": "http.disconnect"}], ["ended"]]


@on(*ASGI)
@pytest.mark.spec(DISCONNECT)
def test_a_broken_upload_is_a_disconnect(app: Running, token: str) -> None:
    connection = app.connect()
    connection.send(ask(play(token, ["receive"], ["gone"]), "POST", "Content-Length: 1000\r\n") + b"x" * 10)
    until(lambda: len(app.seen(token)) == 1, "the first part")
    connection.close()
    until(lambda: ended(app, token), "the end of the script")
    assert app.seen(token)[1] == ["gone", {"type": "http.disconnect"}]


@on(*ASGI)
@pytest.mark.spec(DISCONNECT)
def test_an_application_is_not_cancelled_with_its_client(app: Running, token: str) -> None:
    connection = app.connect()
    steps = (["note", "begun"], ["gone"], ["gate", token], ["note", "went on"])
    connection.send(ask(play(token, *steps)))
    until(lambda: noted(app, token, ["note", "begun"]), "the application has begun")
    connection.close()
    until(lambda: noted(app, token, ["gone", {"type": "http.disconnect"}]), "the disconnect")
    app.get(f"/open?gate={token}")
    until(lambda: ended(app, token), "the end of the script")
    assert app.seen(token)[-2:] == [["note", "went on"], ["ended"]]


@on(*ASGI)
@pytest.mark.spec(SEND)
def test_a_whole_answer_to_nobody_is_no_error(app: Running, token: str) -> None:
    connection = app.connect()
    answer = (["try", start()[1]], ["try", body("x")[1]])
    connection.send(ask(play(token, ["note", "begun"], ["gone"], *answer)))
    until(lambda: noted(app, token, ["note", "begun"]), "the application has begun")
    connection.close()
    until(lambda: ended(app, token), "the end of the script")
    assert app.seen(token)[-3:] == [["sent", "http.response.start"], ["sent", "http.response.body"], ["ended"]]


@on(*ASGI)
@pytest.mark.spec("ASGI HTTP: Disconnected Client - send exception")
def test_a_stream_to_nobody_ends(app: Running, token: str) -> None:
    connection = app.connect()
    connection.send(ask(play(token, start(), ["flood", PLENTY])))
    connection.until(b"xxxx")
    connection.close()
    until(lambda: ended(app, token), "the end of the script")
    flooded = app.seen(token)[0][1]
    assert isinstance(flooded, int) and flooded < PLENTY, f"all {flooded} bytes were taken"
    assert app.seen(token)[1][0] == "raised" and app.seen(token)[1][2], "an exception that is an OSError"


@on(*ASGI)
@pytest.mark.spec(SEND)
def test_a_slow_reader_holds_the_application_up(app: Running, token: str) -> None:
    with app.connect() as connection:
        connection.send(ask(play(token, start(), ["flood", PLENTY])))
        connection.until(b"xxxx")
        sent = steady(app, token)
        assert sent < 32 << 20, f"{sent} bytes were taken for a client that does not read"
        # It goes on when the client does.
        connection.take(sent + (1 << 20))
        until(lambda: int(str(app.seen(token)[0][1])) > sent, "the application goes on")


def steady(app: Running, token: str) -> int:
    """How much was sent when it does not become more any longer."""
    last, same = -1, 0
    while same < 5:
        current = int(str(app.seen(token)[0][1]))
        same = same + 1 if current == last else 0
        last = current
        time.sleep(0.02)
    return last


@on(*ASGI)
@pytest.mark.spec("ASGI HTTP: Request - receive event")
def test_a_slow_application_holds_the_client_up(app: Running, token: str) -> None:
    size = 64 << 20
    with app.connect() as connection:
        steps = (["gate", token], ["read"], start(200, ("content-length", "2")), body("ok"))
        connection.send(ask(play(token, *steps), "POST", f"Content-Length: {size}\r\n"))
        piece = b"y" * 65536
        connection.socket.settimeout(0.3)
        sent = 0
        try:
            while sent < size:
                sent += connection.socket.send(piece[: size - sent])
        except TimeoutError:
            pass
        assert sent < 48 << 20, f"{sent} bytes were taken that nobody reads"
        app.get(f"/open?gate={token}")
        connection.socket.settimeout(10)
        while sent < size:
            sent += connection.socket.send(piece[: size - sent])
        assert connection.answer().body == b"ok"
    assert ["read", size] in app.seen(token)


@on(*ASGI)
@pytest.mark.spec("ASGI HTTP: Request - receive event")
def test_parts_of_a_body_are_told_as_they_come(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, ["receive"], ["receive"], start(), body("ok"))
        connection.send(ask(target, "POST", "Content-Length: 6\r\n") + b"abc")
        until(lambda: len(app.seen(token)) == 1, "the first part")
        connection.send(b"def")
        assert connection.answer().body == b"ok"
    first, second = (json.loads(json.dumps(note[1])) for note in app.seen(token)[:2])
    assert (first["body"], first["more_body"]) == ("abc", True)
    # Whether this was the last one may be told with it, or with an empty part behind it.
    assert second["body"] == "def"


@on(*ASGI)
@pytest.mark.spec(DISCONNECT)
def test_nothing_is_told_while_the_client_waits(app: Running, token: str) -> None:
    with app.connect() as connection:
        connection.send(ask(play(token, ["read"], ["quiet", 0.1], start(), body("ok"))))
        assert connection.answer().body == b"ok"
    assert ["quiet"] in app.seen(token)


@on(*ASGI)
@pytest.mark.spec(DISCONNECT)
def test_a_request_behind_is_no_disconnect(app: Running, token: str) -> None:
    with app.connect() as connection:
        connection.send(ask(play(token, ["read"], ["quiet", 0.1], start(), body("ok"))) + ask("/hello"))
        assert connection.answer().body == b"ok"
        assert connection.answer().body == b"hello"
    assert ["quiet"] in app.seen(token)


@on(*ASGI)
@pytest.mark.spec("RFC 9110 15")
def test_an_answer_may_come_before_the_body_is_sent(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(413, ("content-length", "2"), ("connection", "close")), body("no"))
        connection.send(ask(target, "POST", "Content-Length: 1000000\r\n"))
        answer = connection.answer()
        assert (answer.status, answer.body) == (413, b"no")


@on(*ASGI)
@pytest.mark.spec("ASGI: Applications")
def test_work_behind_the_answer_goes_on(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("content-length", "2")), body("ok"), ["gate", token], ["note", "done"])
        connection.send(ask(target))
        assert connection.answer().body == b"ok"
    app.get(f"/open?gate={token}")
    until(lambda: ended(app, token), "the end of the script")
    assert app.seen(token) == [["note", "done"], ["ended"]]


@on(*ASGI)
@pytest.mark.spec("ASGI: Applications")
def test_requests_run_beside_each_other(app: Running, token: str) -> None:
    connections = [app.connect() for _ in range(20)]
    steps = (["note", "begun"], ["gate", token], start(200, ("content-length", "2")), body("ok"))
    for connection in connections:
        connection.send(ask(play(token, *steps)))
    until(lambda: app.seen(token).count(["note", "begun"]) == 20, "all have begun")
    app.get(f"/open?gate={token}")
    for connection in connections:
        assert connection.answer().body == b"ok"
        connection.close()
