"""What can be read in two ways is refused, and the connection closed: behind another proxy it is request smuggling.

Each case sends its bytes and, right behind them, a second request that must not be answered. gunicorn is the strictest
of the references; what our server still takes is in the table of differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from conftest import on
from servers import HTTP1, Running
from wire import Answer, Ended, Wire

BEHIND = b"GET /hello HTTP/1.1\r\nHost: behind\r\n\r\n"
# A server may know a better word than 400.
REFUSED = (400, 405, 411, 413, 414, 417, 421, 431, 501, 505)


@dataclass(frozen=True)
class Bad:
    """Bytes that are no request."""

    name: str
    request: bytes
    patience: float = 5

    def __str__(self) -> str:
        return self.name


def bad(name: str, spec: str, request: str | bytes, patience: float = 5) -> Any:
    data = request if isinstance(request, bytes) else request.replace("\n", "\r\n").encode("latin-1")
    return pytest.param(Bad(name, data, patience), id=name, marks=pytest.mark.spec(spec))


def field(line: str) -> str:
    return f"GET /hello HTTP/1.1\nHost: test\n{line}\n\n"


def length(*lines: str, body: str = "abc") -> str:
    return "POST /echo HTTP/1.1\nHost: test\n" + "".join(f"{line}\n" for line in lines) + f"\n{body}"


def chunked(body: str) -> str:
    return f"POST /echo HTTP/1.1\nHost: test\nTransfer-Encoding: chunked\n\n{body}"


LINE, FIELD, LENGTH, CODING, CHUNK = (
    "RFC 9112 3", "RFC 9112 5", "RFC 9112 6.3", "RFC 9112 6.1", "RFC 9112 7.1",
)  # fmt: skip

HEADS = [
    bad("line-feed-alone-ends-lines", "RFC 9112 2.2", b"GET /hello HTTP/1.1\nHost: test\n\n"),
    bad("line-feed-alone-ends-a-field", "RFC 9112 2.2", b"GET /hello HTTP/1.1\r\nHost: test\nX-A: b\r\n\r\n"),
    bad("line-feed-alone-ends-the-head", "RFC 9112 2.2", b"GET /hello HTTP/1.1\r\nHost: test\r\n\n"),
    bad(
        "carriage-return-alone-in-value", "RFC 9112 2.2", b"GET /hello HTTP/1.1\r\nHost: test\r\nX-A: b\rX-C: d\r\n\r\n"
    ),
    bad("carriage-return-alone-in-line", "RFC 9112 2.2", b"GET /hello\r HTTP/1.1\r\nHost: test\r\n\r\n"),
    bad("no-version", LINE, "GET /hello\nHost: test\n\n"),
    bad("version-2", "RFC 9112 2.3", "GET /hello HTTP/2.0\nHost: test\n\n"),
    bad("version-9.9", "RFC 9112 2.3", "GET /hello HTTP/9.9\nHost: test\n\n"),
    bad("version-of-two-digits", "RFC 9112 2.3", "GET /hello HTTP/1.10\nHost: test\n\n"),
    bad("version-without-dot", "RFC 9112 2.3", "GET /hello HTTP/11\nHost: test\n\n"),
    bad("version-in-small-letters", "RFC 9112 2.3", "GET /hello http/1.1\nHost: test\n\n"),
    bad("another-protocol", "RFC 9112 2.3", "GET /hello ICY/1.1\nHost: test\n\n"),
    bad("two-spaces-before-target", LINE, "GET  /hello HTTP/1.1\nHost: test\n\n"),
    bad("two-spaces-before-version", LINE, "GET /hello  HTTP/1.1\nHost: test\n\n"),
    bad("tab-in-the-line", LINE, "GET\t/hello\tHTTP/1.1\nHost: test\n\n"),
    bad("space-at-the-end-of-the-line", LINE, "GET /hello HTTP/1.1 \nHost: test\n\n"),
    bad("space-before-the-method", LINE, " GET /hello HTTP/1.1\nHost: test\n\n"),
    bad("method-is-no-token", "RFC 9110 9.1", "G(T /hello HTTP/1.1\nHost: test\n\n"),
    bad("method-with-nul", "RFC 9110 9.1", "GE\0T /hello HTTP/1.1\nHost: test\n\n"),
    bad("no-method", LINE, "/hello HTTP/1.1\nHost: test\n\n"),
    bad("space-in-target", "RFC 9112 3.2", "GET /hel lo HTTP/1.1\nHost: test\n\n"),
    bad("nul-in-target", "RFC 9112 3.2", "GET /hel\0lo HTTP/1.1\nHost: test\n\n"),
    bad("control-in-target", "RFC 9112 3.2", "GET /hel\x7flo HTTP/1.1\nHost: test\n\n"),
    bad("bytes-in-target", "RFC 9112 3.2", "GET /hel\xe9lo HTTP/1.1\nHost: test\n\n"),
    bad("fragment-in-target", "RFC 9112 3.2", "GET /hello#part HTTP/1.1\nHost: test\n\n"),
    bad("target-without-slash", "RFC 9112 3.2", "GET hello HTTP/1.1\nHost: test\n\n"),
    bad("asterisk-with-get", "RFC 9112 3.2.4", "GET * HTTP/1.1\nHost: test\n\n"),
    bad("authority-with-get", "RFC 9112 3.2.3", "GET test:80 HTTP/1.1\nHost: test\n\n"),
    bad("connect-to-a-path", "RFC 9110 9.3.6", "CONNECT /hello HTTP/1.1\nHost: test\n\n"),
    bad("no-host", "RFC 9112 3.2", "GET /hello HTTP/1.1\nX-A: b\n\n"),
    bad("two-hosts", "RFC 9112 3.2", "GET /hello HTTP/1.1\nHost: test\nHost: other\n\n"),
    bad("two-equal-hosts", "RFC 9112 3.2", "GET /hello HTTP/1.1\nHost: test\nHost: test\n\n"),
    bad("host-with-comma", "RFC 9110 7.2", "GET /hello HTTP/1.1\nHost: test, other\n\n"),
    bad("host-with-space", "RFC 9110 7.2", "GET /hello HTTP/1.1\nHost: te st\n\n"),
    bad("host-with-path", "RFC 9110 7.2", "GET /hello HTTP/1.1\nHost: test/path\n\n"),
    bad("host-with-user", "RFC 9110 7.2", "GET /hello HTTP/1.1\nHost: user@test\n\n"),
    bad("host-with-odd-port", "RFC 9110 7.2", "GET /hello HTTP/1.1\nHost: test:8o\n\n"),
    bad("space-before-colon", FIELD, field("X-A : b")),
    bad("tab-before-colon", FIELD, field("X-A\t: b")),
    bad("space-before-name", FIELD, "GET /hello HTTP/1.1\n Host: test\n\n"),
    bad("folded-value", "RFC 9112 5.2", field("X-A: b\n c")),
    bad("folded-with-tab", "RFC 9112 5.2", field("X-A: b\n\tc")),
    bad("no-colon", FIELD, field("X-A b")),
    bad("empty-name", FIELD, field(": b")),
    bad("name-is-no-token", FIELD, field("X(A): b")),
    bad("name-with-nul", FIELD, field("X\0A: b")),
    bad("name-with-bytes", FIELD, field("X-\xe9: b")),
    bad("nul-in-value", "RFC 9110 5.5", field("X-A: b\0c")),
    bad("control-in-value", "RFC 9110 5.5", field("X-A: b\x01c")),
    bad("delete-in-value", "RFC 9110 5.5", field("X-A: b\x7fc")),
    bad("head-too-long", "RFC 6585 5", field("X-A: " + "v" * 200_000)),
    bad("too-many-fields", "RFC 6585 5", field("\n".join(f"X-{n}: v" for n in range(1000)))),
    bad("target-too-long", "RFC 9110 15.5.15", f"GET /{'p' * 200_000} HTTP/1.1\nHost: test\n\n"),
]

BODIES = [
    bad("two-lengths", LENGTH, length("Content-Length: 3", "Content-Length: 4")),
    bad("two-equal-lengths", LENGTH, length("Content-Length: 3", "Content-Length: 3")),
    bad("list-of-lengths", LENGTH, length("Content-Length: 3, 4")),
    bad("list-of-equal-lengths", LENGTH, length("Content-Length: 3, 3")),
    bad("length-with-plus", "RFC 9110 8.6", length("Content-Length: +3")),
    bad("length-with-minus", "RFC 9110 8.6", length("Content-Length: -3")),
    bad("length-in-hex", "RFC 9110 8.6", length("Content-Length: 0x3")),
    bad("length-with-dot", "RFC 9110 8.6", length("Content-Length: 3.0")),
    bad("length-with-underscore", "RFC 9110 8.6", length("Content-Length: 0_3")),
    bad("length-with-space", "RFC 9110 8.6", length("Content-Length: 1 0")),
    bad("length-empty", "RFC 9110 8.6", length("Content-Length:")),
    bad("length-is-no-number", "RFC 9110 8.6", length("Content-Length: three")),
    bad("length-beyond-64-bits", "RFC 9110 8.6", length("Content-Length: 99999999999999999999"), patience=0.5),
    bad("length-and-chunked", LENGTH, length("Content-Length: 3", "Transfer-Encoding: chunked", body="3\nabc\n0\n\n")),
    bad("chunked-and-length", LENGTH, length("Transfer-Encoding: chunked", "Content-Length: 3", body="3\nabc\n0\n\n")),
    bad("gzip-alone", CODING, length("Transfer-Encoding: gzip")),
    bad("identity", CODING, length("Transfer-Encoding: identity")),
    bad("chunked-twice", CODING, length("Transfer-Encoding: chunked, chunked", body="3\nabc\n0\n\n")),
    bad(
        "chunked-in-two-fields",
        CODING,
        length("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="3\nabc\n0\n\n"),
    ),
    bad("chunked-not-last", CODING, length("Transfer-Encoding: chunked, gzip", body="3\nabc\n0\n\n")),
    bad(
        "chunked-and-identity",
        CODING,
        length("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body="3\nabc\n0\n\n"),
    ),
    bad("almost-chunked", CODING, length("Transfer-Encoding: xchunked", body="3\nabc\n0\n\n")),
    bad("chunked-with-vertical-tab", CODING, length("Transfer-Encoding: \x0bchunked", body="3\nabc\n0\n\n")),
    bad("chunked-quoted", CODING, length('Transfer-Encoding: "chunked"', body="3\nabc\n0\n\n")),
    bad("coding-empty", CODING, length("Transfer-Encoding:", body="3\nabc\n0\n\n")),
    bad("chunked-with-http-1.0", CODING, "POST /echo HTTP/1.0\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"),
    bad("unknown-expectation", "RFC 9110 10.1.1", field("Expect: 200-maybe")),
]

CHUNKS = [
    bad("size-in-0x", CHUNK, chunked("0x3\nabc\n0\n\n")),
    bad("size-with-plus", CHUNK, chunked("+3\nabc\n0\n\n")),
    bad("size-with-minus", CHUNK, chunked("-3\nabc\n0\n\n")),
    bad("size-with-underscore", CHUNK, chunked("0_3\nabc\n0\n\n")),
    bad("space-before-size", CHUNK, chunked(" 3\nabc\n0\n\n")),
    bad("space-behind-size", CHUNK, chunked("3 \nabc\n0\n\n")),
    bad("tab-behind-size", CHUNK, chunked("3\t\nabc\n0\n\n")),
    bad("size-empty", CHUNK, chunked("\nabc\n0\n\n")),
    bad("size-is-no-number", CHUNK, chunked("g\nabc\n0\n\n")),
    bad("size-beyond-64-bits", CHUNK, chunked("10000000000000003\nabc\n0\n\n"), patience=0.5),
    bad("size-with-line-feed", CHUNK, chunked("").encode() + b"3\nabc\r\n0\r\n\r\n"),
    bad("size-with-carriage-return", CHUNK, chunked("").encode() + b"3\rabc\r\n0\r\n\r\n"),
    bad("data-longer-than-size", CHUNK, chunked("3\nabcd\n0\n\n")),
    bad("data-shorter-than-size", CHUNK, chunked("5\nabc\n0\n\n")),
    bad("data-ends-with-line-feed", CHUNK, chunked("").encode() + b"3\r\nabc\n0\r\n\r\n"),
    bad("data-without-end", CHUNK, chunked("").encode() + b"3\r\nabc0\r\n\r\n"),
    bad("extension-with-line-feed", "RFC 9112 7.1.1", chunked("").encode() + b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    bad("extension-with-carriage-return", "RFC 9112 7.1.1", chunked("").encode() + b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    bad("extension-with-nul", "RFC 9112 7.1.1", chunked("3;a=\0\nabc\n0\n\n")),
    bad("extension-without-name", "RFC 9112 7.1.1", chunked("3;\nabc\n0\n\n")),
    bad("extension-without-semicolon", "RFC 9112 7.1.1", chunked("3 a=b\nabc\n0\n\n")),
    bad("extension-without-end", "RFC 9112 7.1.1", chunked(f"3;a={'b' * 100_000}\nabc\n0\n\n")),
    bad("last-chunk-with-line-feed", CHUNK, chunked("").encode() + b"3\r\nabc\r\n0\n\r\n"),
    bad("trailer-is-content-length", "RFC 9110 6.5.1", chunked("3\nabc\n0\nContent-Length: 5\n\n")),
    bad("trailer-is-transfer-encoding", "RFC 9110 6.5.1", chunked("3\nabc\n0\nTransfer-Encoding: chunked\n\n")),
    bad("trailer-is-host", "RFC 9110 6.5.1", chunked("3\nabc\n0\nHost: other\n\n")),
    bad("trailer-folded", "RFC 9112 5.2", chunked("3\nabc\n0\nX-A: b\n c\n\n")),
    bad("trailer-with-space-before-colon", FIELD, chunked("3\nabc\n0\nX-A : b\n\n")),
    bad("trailer-with-line-feed", "RFC 9112 2.2", chunked("").encode() + b"3\r\nabc\r\n0\r\nX-A: b\n\r\n"),
    bad("trailers-too-long", "RFC 6585 5", chunked(f"3\nabc\n0\nX-A: {'b' * 200_000}\n\n")),
]


def told(connection: Wire) -> Answer | None:
    """The first answer; nothing where the connection just ends."""
    try:
        return connection.answer()
    except Ended:
        return None


@on(*HTTP1)
@pytest.mark.parametrize("case", HEADS + BODIES)
def test_refused(app: Running, case: Bad) -> None:
    with app.connect(case.patience) as connection:
        connection.send(case.request + BEHIND)
        answer = told(connection)
        status = answer.status if answer else "none"
        assert status in REFUSED, f"the answer is {status}"
        assert connection.ends(), "it went on"


@on(*HTTP1)
@pytest.mark.parametrize("case", CHUNKS)
def test_refused_in_the_body(app: Running, case: Bad) -> None:
    """The application may have begun, so that the connection can only be cut; it is never told a whole body."""
    with app.connect(case.patience) as connection:
        connection.send(case.request + BEHIND)
        answer = told(connection)
        status = answer.status if answer else "none"
        assert status in (*REFUSED, 500, "none"), f"the answer is {status}"
        assert connection.ends(), "it went on"


@on(*HTTP1)
@pytest.mark.spec("RFC 9112 3")
@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32, b"\x00" * 64, b"EHLO test\r\n\r\n"],
    ids=["tls", "zeros", "smtp"],
)
def test_another_protocol_is_shown_out(app: Running, data: bytes) -> None:
    with app.connect() as connection:
        connection.send(data + BEHIND)
        answer = told(connection)
        assert answer is None or answer.status in REFUSED
        assert connection.ends()
    assert app.get("/hello").body == b"hello"
