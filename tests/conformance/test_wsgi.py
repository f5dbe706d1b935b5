"""WSGI as PEP 3333 has it, on our pool and on gunicorn's threads."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from conftest import on
from servers import WSGI, Fleet, Running
from test_asgi_life import ask
from waiting import until
from wire import Ended

ENVIRON = "PEP 3333: environ Variables"
INPUT = "PEP 3333: Input and Error Streams"
START = "PEP 3333: The start_response() Callable"
WRITE = "PEP 3333: The write() Callable"
CLOSE = "PEP 3333: Specification Details, close()"
LENGTH = "PEP 3333: Handling the Content-Length Header"
FILE = "PEP 3333: Optional Platform-Specific File Handling"
TERMINATED = "WSGI: wsgi.input_terminated (as gunicorn and mod_wsgi have it)"


@pytest.fixture
def app(wsgi: Running) -> Running:
    return wsgi


def posted(app: Running, path: str, body: bytes, chunked: bool = False) -> bytes:
    with app.connect() as connection:
        if chunked:
            pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
            data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
            connection.send(ask(path, "POST", "Transfer-Encoding: chunked\r\n") + data)
        else:
            connection.send(ask(path, "POST", f"Content-Length: {len(body)}\r\n") + body)
        answer = connection.answer()
        assert answer.status == 200, answer
        return answer.body


# ---------------------------------------------------------------- environ


@on(*WSGI)
@pytest.mark.spec(ENVIRON)
def test_environ(app: Running) -> None:
    environ = app.get("/a/b?c=%20d", "X-One: 1", "X-One: 2", "Content-Type: text/odd").json()
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b",
        "QUERY_STRING": "c=%20d",
        "CONTENT_TYPE": "text/odd",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "test",
        "HTTP_X_ONE": "1,2",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(app.port),
        "wsgi.url_scheme": "http",
        "wsgi.version": [1, 0],
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ
    assert environ["types"]["SERVER_PORT"] == "str" and environ["types"]["wsgi.version"] == "tuple"
    assert isinstance(environ["wsgi.multiprocess"], bool)


@on(*WSGI)
@pytest.mark.spec("PEP 3333: Unicode Issues")
def test_a_path_is_bytes_as_latin_1(app: Running) -> None:
    assert app.get("/caf%C3%A9%2F").json()["PATH_INFO"] == "/caf\u00c3\u00a9/"


@on(*WSGI)
@pytest.mark.spec("PEP 3333: Unicode Issues")
def test_a_field_is_bytes_as_latin_1(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: test\r\nX-A: caf\xe9\r\n\r\n")
        assert connection.answer().json()["HTTP_X_A"] == "caf\xe9"


@on(*WSGI)
@pytest.mark.spec(ENVIRON)
def test_the_length_is_told(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        assert connection.answer().json()["CONTENT_LENGTH"] == "3"


@on(*WSGI)
@pytest.mark.spec("RFC 3875 4.1.18")
def test_a_name_with_an_underscore_does_not_pose_as_one_with_a_hyphen(app: Running) -> None:
    environ = app.get("/x", "X-Real: 1", "X_Real: spoofed").json()
    assert environ["HTTP_X_REAL"] == "1"


@on(*WSGI)
@pytest.mark.spec("RFC 3875 4.1.16")
def test_http_1_0_is_told(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"GET /x HTTP/1.0\r\n\r\n")
        assert connection.answer().json()["SERVER_PROTOCOL"] == "HTTP/1.0"


@on(*WSGI)
@pytest.mark.spec("PEP 3333: The Server/Gateway Side")
def test_an_environ_is_the_requests_own(app: Running) -> None:
    assert [app.get("/mutates").body for _ in range(12)] == [b"clean"] * 12
    assert app.get("/x").json()["SCRIPT_NAME"] == ""


@on(*WSGI)
@pytest.mark.spec(INPUT)
def test_errors_go_to_the_log(app: Running, token: str) -> None:
    assert app.get(f"/errors?token={token}").body == b"written"
    app.wait_for(f"written to wsgi.errors by {token}")
    app.wait_for("and a line more")


# ---------------------------------------------------------------- wsgi.input


@on(*WSGI)
@pytest.mark.spec(INPUT)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
def test_a_body(app: Running, size: int, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert posted(app, "/echo", body[:size], chunked) == body[:size]


@on(*WSGI)
@pytest.mark.spec(TERMINATED)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_input_ends_with_the_body(app: Running, chunked: bool) -> None:
    with app.connect() as connection:
        body = b"3\r\nabc\r\n0\r\n\r\n" if chunked else b"abc"
        framing = "Transfer-Encoding: chunked\r\n" if chunked else "Content-Length: 3\r\n"
        connection.send(ask("/read-all", "POST", framing) + body + ask("/hello"))
        assert connection.answer().body == b"abc"
        assert connection.answer().body == b"hello"


@on(*WSGI)
@pytest.mark.spec(TERMINATED)
def test_input_is_empty_without_a_body(app: Running) -> None:
    assert app.get("/read-all").body == b""


@on(*WSGI)
@pytest.mark.spec(INPUT)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_read_takes_at_most_so_much(app: Running, chunked: bool) -> None:
    assert json.loads(posted(app, "/read-some", b"0123456789", chunked)) == ["012", "", "3456", "789", ""]


@on(*WSGI)
@pytest.mark.spec(INPUT)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_lines(app: Running, chunked: bool) -> None:
    seen = json.loads(posted(app, "/lines", b"one\nlonger\nthree\nfour", chunked))
    assert seen == {"first": "one\n", "part": "lo", "list": ["nger\n", "three\n", "four"], "end": ""}


@on(*WSGI)
@pytest.mark.spec(INPUT)
def test_iterated_by_lines(app: Running) -> None:
    assert json.loads(posted(app, "/iterate", b"one\n\nthree")) == ["one\n", "\n", "three"]


@on(*WSGI)
@pytest.mark.spec("RFC 9112 9.3")
def test_an_unread_body_does_not_hurt_the_next_request(app: Running) -> None:
    with app.connect() as connection:
        connection.send(ask("/unread", "POST", "Content-Length: 9\r\n") + b"GET / bad")
        assert connection.answer().body == b"not read"
        assert connection.works()


@on(*WSGI)
@pytest.mark.spec("PEP 3333: HTTP 1.1 Expect/Continue")
def test_continue_is_said_when_the_body_is_read(app: Running) -> None:
    with app.connect() as connection:
        connection.send(ask("/echo", "POST", "Content-Length: 3\r\nExpect: 100-continue\r\n"))
        assert connection.head().status == 100
        connection.send(b"abc")
        assert connection.answer().body == b"abc"


# ---------------------------------------------------------------- what is returned


@on(*WSGI)
@pytest.mark.spec("PEP 3333: Buffering and Streaming")
@pytest.mark.parametrize(
    ("path", "body"),
    [("/one", b"one part"), ("/stream", b"one two three"), ("/generator", b"one two"), ("/nothing", b"")],
    ids=["list", "iterable", "generator", "nothing"],
)
def test_returned(app: Running, path: str, body: bytes) -> None:
    with app.connect() as connection:
        connection.send(ask(path))
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, body)
        assert connection.works()


@on(*WSGI)
@pytest.mark.spec("PEP 3333: Buffering and Streaming")
def test_a_part_is_sent_before_the_next_is_made(app: Running, token: str) -> None:
    with app.connect() as connection:
        connection.send(ask(f"/waits?gate={token}"))
        connection.until(b"first ")
        app.get(f"/open?gate={token}")
        connection.until(b"second")


@on(*WSGI)
@pytest.mark.spec(START)
def test_start_response_may_be_called_by_the_first_step_of_the_iterable(app: Running, token: str) -> None:
    assert app.get(f"/generator?token={token}").body == b"one two"
    assert app.seen(token) == [["finally"]]


@on(*WSGI)
@pytest.mark.spec(WRITE)
def test_write(app: Running) -> None:
    assert app.get("/write").body == b"written twice returned"


@on(*WSGI)
@pytest.mark.spec(WRITE)
def test_write_alone(app: Running) -> None:
    answer = app.get("/write-only")
    assert (answer.one("content-length"), answer.body) == ("7", b"written")


@on(*WSGI)
@pytest.mark.spec(CLOSE)
@pytest.mark.parametrize(
    "query",
    ["", "status=204+No+Content", "status=304+Not+Modified", "raise=1"],
    ids=["whole", "no-content", "not-modified", "raises"],
)
def test_an_iterable_is_closed_once(app: Running, token: str, query: str) -> None:
    with app.connect() as connection:
        connection.send(ask(f"/closes?token={token}&{query}"))
        try:
            connection.answer()
        except Ended:
            assert "raise" in query
    until(lambda: app.seen(token) != [], "the iterable is closed")
    assert app.seen(token) == [["closed"]]


@on(*WSGI)
@pytest.mark.spec(CLOSE)
def test_an_iterable_is_closed_after_head(app: Running, token: str) -> None:
    with app.connect() as connection:
        connection.send(ask(f"/closes?token={token}", "HEAD"))
        assert connection.answer("HEAD").status == 200
        assert connection.works()
    until(lambda: app.seen(token) == [["closed"]], "the iterable is closed")


@on(*WSGI)
@pytest.mark.spec(CLOSE)
def test_an_iterable_is_closed_when_its_client_has_gone(app: Running, token: str) -> None:
    connection = app.connect()
    connection.send(ask(f"/endless?token={token}"))
    connection.until(b"xxxx")
    connection.close()
    until(lambda: app.seen(token) == [["closed"]], "the iterable is closed")


# ---------------------------------------------------------------- head and length


@on(*WSGI)
@pytest.mark.spec(START)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "418 I'm a Teapot", "299 Odd", "503 Later"])
def test_a_status(app: Running, status: str) -> None:
    answer = app.get(f"/status?{urllib.parse.urlencode({'status': status})}")
    assert (answer.status, answer.body) == (int(status[:3]), b"body")


@on(*WSGI)
@pytest.mark.spec(START)
def test_a_reason_of_the_application(app: Running) -> None:
    assert app.get("/status?status=404+Looked+Everywhere").reason == "Looked Everywhere"


@on(*WSGI)
@pytest.mark.spec("PEP 3333: Unicode Issues")
def test_fields(app: Running) -> None:
    answer = app.get("/headers")
    assert answer.one("x-latin") == "caf\xe9"
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer.one("x-empty") == ""


@on(*WSGI)
@pytest.mark.spec("RFC 9110 9.3.2")
def test_head(app: Running) -> None:
    with app.connect() as connection:
        connection.send(ask("/hello", "HEAD"))
        assert connection.answer("HEAD").one("content-length") == "5"
        assert connection.works()


@on(*WSGI)
@pytest.mark.spec("RFC 9110 6.4.1")
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_where_none_may_be(app: Running, status: str) -> None:
    with app.connect() as connection:
        connection.send(ask(f"/status?{urllib.parse.urlencode({'status': status})}"))
        answer = connection.answer()
        assert (answer.status, answer.one("transfer-encoding")) == (int(status[:3]), None)
        assert connection.works()


@on(*WSGI)
@pytest.mark.spec("RFC 9110 6.4.1")
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_body_where_none_may_be_is_not_sent(app: Running, status: str) -> None:
    with app.connect() as connection:
        connection.send(ask(f"/body-where-none-may-be?{urllib.parse.urlencode({'status': status})}"))
        assert connection.answer().status == int(status[:3])
        assert connection.works()


@on(*WSGI)
@pytest.mark.spec(LENGTH)
def test_one_part_gets_a_length(app: Running) -> None:
    answer = app.get("/one")
    assert (answer.one("content-length"), answer.one("transfer-encoding")) == ("8", None)


@on(*WSGI)
@pytest.mark.spec(LENGTH)
def test_more_than_the_length_is_not_sent(app: Running) -> None:
    with app.connect() as connection:
        connection.send(ask("/length-long"))
        assert connection.answer().body == b"four"


@on(*WSGI)
@pytest.mark.spec(LENGTH)
def test_less_than_the_length_is_no_complete_response(app: Running) -> None:
    with app.connect() as connection:
        connection.send(ask("/length-short"))
        with pytest.raises(Ended):
            connection.answer()


MISTAKES = [
    "raise",
    "raise-after-start",
    "str-body",
    "without-start",
    "start-twice",
    "bad-header",
    "bad-name",
    "wide-header",
]


@on(*WSGI)
@pytest.mark.spec("PEP 3333: Error Handling")
@pytest.mark.parametrize("path", MISTAKES)
def test_a_mistake_is_500(app: Running, path: str) -> None:
    answer = app.get(f"/{path}")
    assert answer.status == 500
    assert answer.one("x-injected") is None
    assert b"Traceback" not in answer.body
    assert app.get("/hello").body == b"hello"


# ---------------------------------------------------------------- exc_info


@on(*WSGI)
@pytest.mark.spec(START)
def test_a_head_is_replaced_with_exc_info(app: Running) -> None:
    answer = app.get("/replaced")
    assert (answer.status, answer.body, answer.one("x-first")) == (503, b"replaced", None)


@on(*WSGI)
@pytest.mark.spec(START)
def test_exc_info_is_raised_again_when_it_is_too_late(app: Running, token: str) -> None:
    with app.connect() as connection:
        connection.send(ask(f"/too-late?token={token}"))
        with pytest.raises(Ended):
            connection.answer()
    until(lambda: app.seen(token) == [["raised again"]], "the exception")


# ---------------------------------------------------------------- files, threads


@on(*WSGI)
@pytest.mark.spec(FILE)
def test_a_file_like_object(app: Running, token: str) -> None:
    assert app.get(f"/file?token={token}").body == b"z" * 100_000
    until(lambda: app.seen(token) == [["file closed"]], "the file is closed")


@on(*WSGI)
@pytest.mark.spec(FILE)
@pytest.mark.parametrize("query", ["", "from=150000", "length=200000", "from=199990&length=10"])
def test_a_real_file(app: Running, query: str) -> None:
    with app.connect() as connection:
        connection.send(ask(f"/real-file?{query}"))
        start = int(dict(urllib.parse.parse_qsl(query)).get("from", 0))
        assert connection.answer().body == (b"0123456789" * 20_000)[start:]
        assert connection.works()


@on(*WSGI)
@pytest.mark.spec("PEP 567")
def test_contexts_are_kept_apart(app: Running) -> None:
    assert {app.get("/context").body for _ in range(20)} == {b"unset"}


@on(*WSGI)
@pytest.mark.spec("PEP 3333: Thread Support")
def test_an_application_runs_on_threads_of_a_pool(app: Running) -> None:
    seen = [app.get("/thread").json() for _ in range(30)]
    assert not any(thread["main"] for thread in seen)
    assert len({thread["name"] for thread in seen}) <= 8


# ---------------------------------------------------------------- the validators stay silent


SILENT = [
    "/x?a=b",
    "/echo",
    "/read-some",
    "/iterate",
    "/stream",
    "/one",
    "/write-only",
    "/headers",
    "/status?status=404+Not+Found",
    "/status?status=204+No+Content",
    "/replaced",
    "/real-file",
    "/file",
]


# Werkzeug's middleware wants a length of a 204, which RFC 9110 8.6 forbids.
CHECKED = [("validated", path) for path in SILENT] + [("linted", path) for path in SILENT if "204" not in path]


@on(*WSGI)
@pytest.mark.spec("PEP 3333, as wsgiref.validate and Werkzeug's LintMiddleware hold it")
@pytest.mark.parametrize(("checker", "path"), CHECKED, ids=[f"{checker}-{path}" for checker, path in CHECKED])
def test_a_validator_has_nothing_to_say(server: str, fleet: Fleet, checker: str, path: str) -> None:
    app = fleet.ask(server, f"wsgi_app:{checker}")
    said = len(app.lines)
    takes = path in ("/echo", "/read-some", "/iterate")
    with app.connect() as connection:
        connection.send(ask(path, "POST", "Content-Length: 3\r\n") + b"a\nb" if takes else ask(path))
        answer = connection.answer()
        assert answer.status < 500 or path == "/replaced", answer
        # The validators look once more when the iterable is closed, so the next request is asked on this connection.
        assert connection.works()
    assert [line for line in app.lines[said:] if "Warning" in line or "Error" in line] == []
