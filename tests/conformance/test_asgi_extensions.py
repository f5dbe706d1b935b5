"""The extensions of the ASGI HTTP spec that our server offers; hypercorn is the reference for those that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import on
from h2peer import Peer
from servers import ASGI, HTTP2, Running, play
from test_asgi_life import ask
from test_http1_responses import body, start

TRAILERS = "ASGI Extensions: HTTP Trailers"
PATHSEND = "ASGI Extensions: Path Send"
HINTS = "ASGI Extensions: Early Hints"


def trailers(*pairs: tuple[str, str], more: bool = False) -> list[Any]:
    message: dict[str, Any] = {"type": "http.response.trailers", "headers": [list(pair) for pair in pairs]}
    return ["send", message | ({"more_trailers": True} if more else {})]


def offers(scope: Any, extension: str) -> bool:
    return extension in (scope.get("extensions") or {})


# ---------------------------------------------------------------- trailers


@on(*HTTP2)
@pytest.mark.spec(TRAILERS)
def test_trailers_are_offered_over_http2(app: Running) -> None:
    with Peer(app) as peer:
        assert offers(peer.get("/x", ("te", "trailers")).json(), "http.response.trailers")


@on(*HTTP2)
@pytest.mark.spec(TRAILERS)
def test_trailers_over_http2(app: Running, token: str) -> None:
    with Peer(app) as peer:
        target = play(token, start(trailers=True), body("x"), trailers(("x-sum", "1"), ("x-more", "2")))
        answer = peer.get(target, ("te", "trailers"))
        assert (answer.status, answer.body, answer.trailers) == (200, b"x", [("x-sum", "1"), ("x-more", "2")])


@on(*HTTP2)
@pytest.mark.spec(TRAILERS)
def test_trailers_in_two_messages(app: Running, token: str) -> None:
    with Peer(app) as peer:
        target = play(token, start(trailers=True), body("x"), trailers(("x-a", "1"), more=True), trailers(("x-b", "2")))
        assert peer.get(target, ("te", "trailers")).trailers == [("x-a", "1"), ("x-b", "2")]


@on(*HTTP2)
@pytest.mark.spec("RFC 9110 6.5.1")
def test_trailers_are_not_sent_to_who_cannot_take_them(app: Running, token: str) -> None:
    with Peer(app) as peer:
        target = play(token, start(trailers=True), body("x"), trailers(("x-sum", "1")))
        answer = peer.get(target)
        assert (answer.status, answer.body, answer.trailers) == (200, b"x", [])


@on(*HTTP2)
@pytest.mark.spec(TRAILERS)
def test_trailers_that_were_announced_and_do_not_come(app: Running, token: str) -> None:
    with Peer(app) as peer:
        stream = peer.ask("GET", play(token, start(trailers=True), body("x")), ("te", "trailers"))
        answer = peer.read(stream)
        assert answer.reset or answer.ended, "the stream ends all the same"


@on("pinnace")
@pytest.mark.spec("RFC 9112 7.1.2")
def test_trailers_over_http1(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("trailer", "x-sum"), trailers=True), body("x"), trailers(("x-sum", "1")))
        connection.send(ask(target, headers="TE: trailers\r\nConnection: TE\r\n"))
        answer = connection.answer()
        assert (answer.body, answer.trailers) == (b"x", [("x-sum", "1")])
        assert connection.works()


@on("pinnace")
@pytest.mark.spec("RFC 9110 6.5.1")
def test_trailers_over_http1_are_not_sent_to_who_cannot_take_them(app: Running, token: str) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("trailer", "x-sum"), trailers=True), body("x"), trailers(("x-sum", "1")))
        connection.send(ask(target))
        answer = connection.answer()
        assert (answer.body, answer.trailers) == (b"x", [])
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec(TRAILERS)
def test_trailers_are_not_offered_to_http_1_0(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"GET /x HTTP/1.0\r\nTE: trailers\r\n\r\n")
        assert not offers(connection.answer().json(), "http.response.trailers")


# ---------------------------------------------------------------- pathsend


def pathsend(path: Path) -> list[Any]:
    return ["send", {"type": "http.response.pathsend", "path": str(path)}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4000)
    return path


@on("pinnace")
@pytest.mark.spec(PATHSEND)
def test_pathsend_is_offered(app: Running) -> None:
    assert offers(app.get("/x").json(), "http.response.pathsend")


@on("pinnace")
@pytest.mark.spec(PATHSEND)
@pytest.mark.parametrize("length", ["with", "without"])
def test_a_file_is_sent(app: Running, token: str, file: Path, length: str) -> None:
    data = file.read_bytes()
    headers = [("content-length", str(len(data)))] if length == "with" else []
    with app.connect() as connection:
        connection.send(ask(play(token, start(200, *headers), pathsend(file))))
        answer = connection.answer()
        assert answer.body == data
        assert answer.one("content-length") == str(len(data)), "the length of a file is known"
        assert connection.works()


@on("pinnace")
@pytest.mark.spec(PATHSEND)
def test_an_empty_file_is_sent(app: Running, token: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with app.connect() as connection:
        connection.send(ask(play(token, start(), pathsend(tmp_path / "empty"))))
        assert connection.answer().body == b""
        assert connection.works()


@on("pinnace")
@pytest.mark.spec("RFC 9110 9.3.2")
def test_a_file_is_not_sent_to_head(app: Running, token: str, file: Path) -> None:
    with app.connect() as connection:
        target = play(token, start(200, ("content-length", "1024000")), pathsend(file))
        connection.send(ask(target, "HEAD"))
        assert connection.answer("HEAD").one("content-length") == "1024000"
        assert connection.works()


@on("pinnace")
@pytest.mark.spec(PATHSEND)
def test_a_file_that_there_is_not_is_an_exception(app: Running, token: str, tmp_path: Path) -> None:
    with app.connect() as connection:
        lost = ["try", {"type": "http.response.pathsend", "path": str(tmp_path / "lost")}]
        connection.send(ask(play(token, start(404), lost, body("lost"))))
        answer = connection.answer()
        assert (answer.status, answer.body) == (404, b"lost")
    assert app.seen(token)[0] == ["refused", "http.response.pathsend", True]


@on("pinnace")
@pytest.mark.spec(PATHSEND)
@pytest.mark.parametrize("length", ["5", "2000000"])
def test_a_file_of_another_length_is_500(app: Running, token: str, file: Path, length: str) -> None:
    with app.connect() as connection:
        connection.send(ask(play(token, start(200, ("content-length", length)), pathsend(file))))
        assert connection.answer().status == 500


@on("pinnace")
@pytest.mark.spec(PATHSEND)
def test_a_file_over_http2(app: Running, token: str, file: Path) -> None:
    with Peer(app) as peer:
        assert peer.get(play(token, start(), pathsend(file))).body == file.read_bytes()


# ---------------------------------------------------------------- early hints


HINT = ["send", {"type": "http.response.early_hint", "links": ["</style.css>; rel=preload; as=style"]}]


@on(*HTTP2)
@pytest.mark.spec(HINTS)
def test_early_hints_over_http2(app: Running, token: str) -> None:
    with Peer(app) as peer:
        stream = peer.ask("GET", play(token, HINT, start(), body("x")))
        answer = peer.read(stream)
        assert (answer.status, answer.body) == (200, b"x")
        assert [status for status, _ in answer.interim] == [103]


@on("pinnace")
@pytest.mark.spec("RFC 8297 2")
def test_early_hints_over_http1(app: Running, token: str) -> None:
    with app.connect() as connection:
        connection.send(ask(play(token, HINT, start(), body("x"))))
        hint = connection.head()
        assert (hint.status, hint.all("link")) == (103, ["</style.css>; rel=preload; as=style"])
        assert connection.answer().body == b"x"
