"""What an application is told about a request that came over HTTP/1 (RFC 9112, RFC 9110; ASGI HTTP spec 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from conftest import on
from servers import ASGI, Running


@dataclass(frozen=True)
class Told:
    """A request, and what its application sees of it."""

    name: str
    spec: str
    request: bytes
    sees: dict[str, Any]

    def __str__(self) -> str:
        return self.name


def told(name: str, spec: str, request: str | bytes, **sees: Any) -> Any:
    if isinstance(request, str):
        request = request.replace("\n", "\r\n").encode("latin-1")
    return pytest.param(Told(name, spec, request, sees), id=name, marks=pytest.mark.spec(spec))


def get(target: str, headers: str = "", version: str = "1.1") -> str:
    return f"GET {target} HTTP/{version}\nHost: test\n{headers}\n"


def post(headers: str, body: str) -> str:
    return f"POST /x HTTP/1.1\nHost: test\n{headers}\n\n{body}"


HTTP_SCOPE = "ASGI HTTP: Connection scope"
CASES = [
    told("get", HTTP_SCOPE, get("/x"), type="http", method="GET", http_version="1.1", scheme="http", body=""),
    told("head-is-told", HTTP_SCOPE, "OPTIONS /x HTTP/1.1\nHost: test\n\n", method="OPTIONS"),
    told("put", HTTP_SCOPE, "PUT /x HTTP/1.1\nHost: test\nContent-Length: 2\n\nab", method="PUT", body="ab"),
    told("delete", HTTP_SCOPE, "DELETE /x HTTP/1.1\nHost: test\n\n", method="DELETE"),
    told("patch", HTTP_SCOPE, "PATCH /x HTTP/1.1\nHost: test\nContent-Length: 1\n\nz", method="PATCH", body="z"),
    told("trace", "RFC 9110 9.3.8", "TRACE /x HTTP/1.1\nHost: test\n\n", method="TRACE"),
    told("unregistered-method", "RFC 9110 9.1", "PURGE /x HTTP/1.1\nHost: test\n\n", method="PURGE"),
    told("http-1.0", "RFC 9112 2.3", "GET /x HTTP/1.0\n\n", http_version="1.0", headers=[]),
    told("path", HTTP_SCOPE, get("/a/b"), path="/a/b", raw_path="/a/b", query_string=""),
    told("root", HTTP_SCOPE, get("/"), path="/", raw_path="/"),
    told("query", HTTP_SCOPE, get("/x?a=%20b&c=+d"), path="/x", query_string="a=%20b&c=+d", raw_path="/x"),
    told("query-empty", HTTP_SCOPE, get("/x?"), path="/x", query_string=""),
    told("query-with-question-mark", "RFC 3986 3.4", get("/x?a=?/b"), query_string="a=?/b"),
    told("percent-utf-8", HTTP_SCOPE, get("/caf%C3%A9"), path="/café", raw_path="/caf%C3%A9"),
    told("percent-slash", HTTP_SCOPE, get("/a%2Fb"), path="/a/b", raw_path="/a%2Fb"),
    told("percent-percent", HTTP_SCOPE, get("/a%2525"), path="/a%25", raw_path="/a%2525"),
    told("double-slash", "RFC 3986 3.3", get("//a//b"), path="//a//b"),
    told("dots-stay", "RFC 3986 3.3", get("/a/../b/."), path="/a/../b/."),
    told("path-parameters", "RFC 3986 3.3", get("/a;v=1/b"), path="/a;v=1/b"),
    told("sub-delimiters", "RFC 3986 3.3", get("/a!$&'()*+,;=:@-._~"), path="/a!$&'()*+,;=:@-._~"),
    told("absolute-form", "RFC 9112 3.2.2", get("http://test/a?b=c"), path="/a", query_string="b=c"),
    told("asterisk-form", "RFC 9112 3.2.4", "OPTIONS * HTTP/1.1\nHost: test\n\n", method="OPTIONS", path="*"),
    told(
        "names-lower-case",
        HTTP_SCOPE,
        get("/x", "X-Mixed-CASE: v\n"),
        headers=[["host", "test"], ["x-mixed-case", "v"]],
    ),
    told(
        "white-space-around-values",
        "RFC 9112 5",
        get("/x", "X-A: \t v w \t \n"),
        headers=[["host", "test"], ["x-a", "v w"]],
    ),
    told("no-space-after-colon", "RFC 9112 5", get("/x", "X-A:v\n"), headers=[["host", "test"], ["x-a", "v"]]),
    told("empty-value", "RFC 9110 5.5", get("/x", "X-A:\n"), headers=[["host", "test"], ["x-a", ""]]),
    told(
        "bytes-in-values", "RFC 9110 5.5", get("/x", "X-A: caf\xe9\n"), headers=[["host", "test"], ["x-a", "caf\xe9"]]
    ),
    told("tab-in-value", "RFC 9110 5.5", get("/x", "X-A: a\tb\n"), headers=[["host", "test"], ["x-a", "a\tb"]]),
    told(
        "repeated-in-order",
        "RFC 9110 5.3",
        get("/x", "X-A: 1\nX-B: 2\nX-A: 3\n"),
        headers=[["host", "test"], ["x-a", "1"], ["x-b", "2"], ["x-a", "3"]],
    ),
    told(
        "token-characters-in-names",
        "RFC 9110 5.6.2",
        get("/x", "X!#$%&'*+-.^_`|~9: v\n"),
        headers=[["host", "test"], ["x!#$%&'*+-.^_`|~9", "v"]],
    ),
    told("blank-line-first", "RFC 9112 2.2", "\n" + get("/x"), method="GET", path="/x"),
    told(
        "long-value", "RFC 9110 5.4", get("/x", f"X-A: {'v' * 6000}\n"), headers=[["host", "test"], ["x-a", "v" * 6000]]
    ),
    told("long-target", "RFC 9112 3", get("/" + "p" * 6000), path="/" + "p" * 6000),
    told(
        "fifty-fields",
        "RFC 9110 5.4",
        get("/x", "".join(f"X-{n}: {n}\n" for n in range(50))),
        headers=[["host", "test"], *[[f"x-{n}", str(n)] for n in range(50)]],
    ),
    told("get-with-body", "RFC 9110 9.3.1", "GET /x HTTP/1.1\nHost: test\nContent-Length: 3\n\nabc", body="abc"),
    told("length-zero", "RFC 9112 6.3", post("Content-Length: 0", ""), body=""),
    told("no-length", "RFC 9112 6.3", post("X-A: b", ""), body=""),
    told("leading-zeros-in-length", "RFC 9110 8.6", post("Content-Length: 003", "abc"), body="abc"),
    told("chunked", "RFC 9112 7.1", post("Transfer-Encoding: chunked", "3\nabc\n4\ndefg\n0\n\n"), body="abcdefg"),
    told("chunked-in-capitals", "RFC 9112 7", post("Transfer-Encoding: CHUNKED", "3\nabc\n0\n\n"), body="abc"),
    told("chunked-empty", "RFC 9112 7.1", post("Transfer-Encoding: chunked", "0\n\n"), body=""),
    told(
        "chunk-size-in-capitals",
        "RFC 9112 7.1",
        post("Transfer-Encoding: chunked", "A\n0123456789\n0\n\n"),
        body="0123456789",
    ),
    told(
        "chunk-size-in-small-letters",
        "RFC 9112 7.1",
        post("Transfer-Encoding: chunked", "a\n0123456789\n0\n\n"),
        body="0123456789",
    ),
    told("chunk-size-with-zeros", "RFC 9112 7.1", post("Transfer-Encoding: chunked", "0003\nabc\n000\n\n"), body="abc"),
    told("chunk-extension", "RFC 9112 7.1.1", post("Transfer-Encoding: chunked", "3;a=b\nabc\n0\n\n"), body="abc"),
    told(
        "chunk-extension-quoted",
        "RFC 9112 7.1.1",
        post("Transfer-Encoding: chunked", '3;a="b c"\nabc\n0\n\n'),
        body="abc",
    ),
    told(
        "trailers-end-the-body",
        "RFC 9112 7.1.2",
        post("Transfer-Encoding: chunked", "3\nabc\n0\nX-Sum: 1\n\n"),
        body="abc",
    ),
    told(
        "chunk-data-with-line-ends",
        "RFC 9112 7.1",
        post("Transfer-Encoding: chunked", "4\n\n\n\n0\n\n"),
        body="\r\n\r\n",
    ),
    told(
        "upgrade-to-the-unknown",
        "RFC 9110 7.8",
        get("/x", "Connection: upgrade\nUpgrade: h5\n"),
        method="GET",
        http_version="1.1",
    ),
    told(
        "upgrade-to-h2c",
        "RFC 9113 3.1",
        get("/x", "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n"),
        method="GET",
    ),
]


@on(*ASGI)
@pytest.mark.parametrize("case", CASES)
def test_told(app: Running, case: Told) -> None:
    with app.connect() as connection:
        connection.send(case.request)
        sees = connection.answer().json()
    for key, value in case.sees.items():
        seen = sees[key]
        if key == "headers":
            seen = [pair for pair in seen if pair[0] not in OURS]
        assert seen == value, f"{key} is {seen!r}"


# What a server of ours adds: the id of the request.
OURS = {"x-request-id"}


@on(*ASGI)
@pytest.mark.spec(HTTP_SCOPE)
def test_types_of_the_scope(app: Running) -> None:
    sees = app.get("/x?y").json()
    types = sees["types"]
    assert {key: types[key] for key in ("path", "raw_path", "query_string", "root_path", "method")} == {
        "path": "str", "raw_path": "bytes", "query_string": "bytes", "root_path": "str", "method": "str",
    }  # fmt: skip
    assert types["headers"] == "list"
    assert sees["asgi"]["version"] == "3.0"
    assert sees["asgi"]["spec_version"] in ("2.0", "2.1", "2.2", "2.3", "2.4", "2.5")
    assert sees["root_path"] == ""


@on(*ASGI)
@pytest.mark.spec(HTTP_SCOPE)
def test_addresses(app: Running) -> None:
    with app.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
        sees = connection.answer().json()
        assert sees["client"] == list(connection.socket.getsockname())
        assert sees["server"] == ["127.0.0.1", app.port]


@on(*ASGI)
@pytest.mark.spec("RFC 6265 5.4")
def test_a_cookie_is_one_field(app: Running) -> None:
    headers = app.get("/x", "Cookie: a=1; b=2").json()["headers"]
    assert ["cookie", "a=1; b=2"] in headers


@on(*ASGI)
@pytest.mark.spec("RFC 9112 6")
@pytest.mark.parametrize("size", [1, 8191, 8192, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_arrives_whole(app: Running, size: int, framing: str) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    with app.connect() as connection:
        if framing == "length":
            connection.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size + body)
        else:
            pieces = [body[at : at + 30_000] for at in range(0, size, 30_000)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            connection.send(
                b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
            )
        assert connection.answer().body == body


@on(*ASGI)
@pytest.mark.spec("RFC 9112 2.1")
def test_a_request_that_comes_byte_by_byte(app: Running) -> None:
    request = (
        b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    )
    with app.connect() as connection:
        for at in range(len(request)):
            connection.send(request[at : at + 1])
        assert connection.answer().body == b"abc"
        assert connection.works()


@on(*ASGI)
@pytest.mark.spec("ASGI Lifespan: Lifespan State")
def test_the_state_of_the_lifespan_is_copied_shallowly(app: Running) -> None:
    first, second = app.get("/x").json(), app.get("/x").json()
    assert first["word"] == second["word"] == "of the lifespan"
    assert second["boot"]["requests"] > first["boot"]["requests"]
