"""Real applications, unchanged: every answer is the same as under the server that they are usually run with."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import brotlicffi as brotli
import pytest
import servers
import websockets
from servers import Fleet, Running
from waiting import LONGEST_WAIT, until

# What servers say of themselves.
OWN = {"date", "server", "connection", "keep-alive", "x-request-id", "transfer-encoding", "content-length"}
Asked = tuple[str, str, dict[str, str], bytes]
Told = tuple[int, list[tuple[str, str]], Any]


def ask(running: Running, asked: Asked) -> Told:
    """An answer without what is the server's own, and without what differs from request to request."""
    method, target, headers, body = asked
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=LONGEST_WAIT)
    try:
        connection.request(method, target, body=body or None, headers={"User-Agent": "test", **headers})
        response = connection.getresponse()
        data = response.read()
        kept = [(name.lower(), value) for name, value in response.getheaders() if name.lower() not in OWN]
        length = response.getheader("content-length")
        if length is not None and method != "HEAD":
            assert int(length) == len(data)
    finally:
        connection.close()
    encoding = dict(kept).get("content-encoding", "")
    if encoding == "gzip" and data:
        data = gzip.decompress(data)
    elif encoding == "deflate":
        data = zlib.decompress(data)
    elif encoding == "br":
        data = brotli.decompress(data)
    return response.status, sorted(header(name, value, running) for name, value in kept), told(data, running)


def plain(text: str, running: Running) -> str:
    text = text.replace(f":{running.port}", ":PORT")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
    return re.sub(r'(csrftoken|csrfmiddlewaretoken)("? value="|=)[\w.-]+', r"\1\2TOKEN", text)


def header(name: str, value: str, running: Running) -> tuple[str, str]:
    """A field; the methods that are allowed have no order."""
    return name, ", ".join(sorted(value.split(", "))) if name == "allow" else plain(value, running)


def told(data: bytes, running: Running) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    text = plain(text, running)
    # The id that our server gives to each request, and the measured times and the folders of the applications.
    text = re.sub(r'\s*"X-Request-Id": "[0-9a-f]+",?', "", text)
    return re.sub(r'(\d+\.\d+)ms|"query_ms": [\d.]+|Queries took [\d.]+|"path": "/[^"]+"', "VARIES", text)


def get(*targets: str) -> list[Asked]:
    return [("GET", target, {}, b"") for target in targets]


def same(fleet: Fleet, target: str, reference: str, asked: Asked) -> Told:
    ours, theirs = (ask(fleet.ask(server, target), asked) for server in ("pinnace", reference))
    assert ours == theirs
    return ours


def names(asked: list[Asked]) -> list[str]:
    return [f"{method} {target}"[:60] for method, target, _, _ in asked]


# ---------------------------------------------------------------- httpbin


HTTPBIN: list[Asked] = [
    *get("/", "/get", "/get?a=1&a=2&b=%C3%A9", "/headers", "/ip", "/user-agent", "/html", "/xml", "/json", "/robots.txt"),
    *get("/deny", "/encoding/utf8", "/forms/post", "/gzip", "/deflate", "/brotli", "/base64/aGVsbG8%3D", "/cache/60"),
    *get("/bytes/1000?seed=1", "/stream-bytes/5000?seed=1&chunk_size=100", "/stream/5", "/range/100", "/links/5/2"),
    *get("/links/5", "/delay/0", "/drip?numbytes=5&duration=0", "/redirect/2", "/relative-redirect/1", "/absolute-redirect/1"),
    *get("/redirect-to?url=/get", "/redirect-to?url=/get&status_code=307", "/cookies", "/cookies/set?a=b&c=d"),
    *get("/cookies/set/a/b", "/cookies/delete?a", "/basic-auth/u/p", "/hidden-basic-auth/u/p", "/bearer", "/etag/tag"),
    *get("/response-headers?X-A=b&X-A=c&X-B=d", "/image/png", "/image/jpeg", "/image/svg", "/image/webp", "/uuid"),
    *get("/status/200", "/status/204", "/status/301", "/status/304", "/status/401", "/status/404", "/status/406", "/status/418"),
    *get("/status/500", "/status/503", "/anything/a/b%2Fc?d=e", "/no-such-path", "/spec.json", "/static/favicon.ico", "/digest-auth/"),
    *[(method, "/anything", {}, b"") for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")],
    *[("HEAD", target, {}, b"") for target in ("/get", "/bytes/10?seed=1", "/stream/3", "/status/404")],
    *[("OPTIONS", target, {}, b"") for target in ("/get", "/post")],
    ("POST", "/post", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&b=%20&a=2"),
    ("POST", "/post", {"Content-Type": "application/json"}, b'{"a": [1, null]}'),
    ("POST", "/post", {"Content-Type": "text/plain"}, "caf\u00e9".encode()),
    ("POST", "/post", {"Content-Type": "application/octet-stream"}, bytes(range(256))),
    ("POST", "/post", {"Content-Type": "multipart/form-data; boundary=xx"},
     b'--xx\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\nfile\r\n--xx--\r\n'),
    ("PUT", "/put", {}, b"x" * 100_000),
    ("PATCH", "/patch", {}, b"x"),
    ("DELETE", "/delete", {}, b""),
    ("POST", "/get", {}, b"not allowed"),
    ("GET", "/cookies", {"Cookie": "a=b; c=d"}, b""),
    ("GET", "/basic-auth/u/p", {"Authorization": "Basic dTpw"}, b""),
    ("GET", "/bearer", {"Authorization": "Bearer token"}, b""),
    ("GET", "/etag/tag", {"If-None-Match": "tag"}, b""),
    ("GET", "/etag/tag", {"If-Match": "other"}, b""),
    ("GET", "/cache", {"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, b""),
    ("GET", "/range/100", {"Range": "bytes=10-19"}, b""),
    ("GET", "/range/100", {"Range": "bytes=200-"}, b""),
    ("GET", "/image", {"Accept": "image/webp"}, b""),
    ("GET", "/headers", {"X-Odd": "caf\u00e9".encode().decode("latin-1"), "Accept": "*/*", "X-Empty": ""}, b""),
]  # fmt: skip


@pytest.mark.spec("httpbin, every endpoint, as under gunicorn")
@pytest.mark.parametrize("number", range(len(HTTPBIN)), ids=names(HTTPBIN))
def test_httpbin(fleet: Fleet, number: int) -> None:
    same(fleet, "httpbin:app", "gunicorn", HTTPBIN[number])


# ---------------------------------------------------------------- datasette


DATASETTE: list[Asked] = [
    *get("/", "/.json", "/fixtures", "/fixtures.json", "/fixtures/city", "/fixtures/city.json?_size=10", "/fixtures/city.csv"),
    *get("/fixtures/person.csv?_stream=1", "/fixtures/person.json?_next=100", "/fixtures/person?_sort_desc=id"),
    *get("/fixtures/person.json?city=5&_shape=array", "/fixtures/person.json?name__contains=99&_shape=objects"),
    *get("/fixtures/person.json?_facet=city&_size=3", "/fixtures/person/5", "/fixtures/person/5.json", "/fixtures/names.json"),
    *get("/fixtures/person/4.blob?_blob_column=picture", "/fixtures/person.json?_labels=on&_size=2"),
    *get("/fixtures?sql=select+count(*)+from+person", "/fixtures.json?sql=select+1+as+one&_shape=array"),
    *get("/fixtures.json?sql=select+:x+as+x&x=caf%C3%A9", "/fixtures.json?sql=delete+from+city", "/fixtures.json?sql=bad"),
    *get("/fixtures.csv?sql=select+*+from+city+limit+3", "/fixtures/nothing", "/fixtures/nothing.json", "/nothing", "/fixtures/"),
    *get("/-/settings.json", "/-/plugins.json", "/-/databases.json", "/-/metadata.json", "/-/versions.json", "/-/actor.json"),
    *get("/-/static/app.css", "/-/static/nothing.css", "/-/patterns", "/-/allow-debug", "/-/logout", "/-/messages"),
    ("HEAD", "/fixtures/city.json", {}, b""),
    ("OPTIONS", "/", {}, b""),
    ("POST", "/-/messages", {"Content-Type": "application/x-www-form-urlencoded"}, b"message=x"),
]  # fmt: skip


@pytest.mark.spec("datasette, every endpoint, as under uvicorn")
@pytest.mark.parametrize("number", range(len(DATASETTE)), ids=names(DATASETTE))
def test_datasette(fleet: Fleet, number: int) -> None:
    same(fleet, "datasette_app:app", "uvicorn-httptools", DATASETTE[number])


# ---------------------------------------------------------------- FastAPI's tutorial


FILES = ("/file", "/static/fastapi_app.py")
ITEM = json.dumps({"name": "x", "price": 1.5, "tags": ["a"]}).encode()
FASTAPI: list[Asked] = [
    *get("/", "/docs", "/redoc", "/openapi.json", "/items/5?q=abc", "/items/five", "/items/5?q=toolong", "/asked", "/session"),
    *get("/missing", "/forbidden", "/broken", "/me", "/stream", "/file", "/large", "/page", "/away", "/cookie", "/nothing"),
    *get("/static/fastapi_app.py", "/static/nothing.py", "/static/../conftest.py"),
    ("POST", "/items", {"Content-Type": "application/json"}, ITEM),
    ("POST", "/items", {"Content-Type": "application/json"}, b'{"name": "x", "price": -1}'),
    ("POST", "/items", {"Content-Type": "application/json"}, b"{bad"),
    ("PUT", "/items/3", {"Content-Type": "application/json"}, b'{"item": ' + ITEM + b', "importance": 5}'),
    ("DELETE", "/items/3", {}, b""),
    ("PATCH", "/items/3", {}, b""),
    ("HEAD", "/file", {}, b""),
    ("GET", "/large", {"Accept-Encoding": "gzip"}, b""),
    ("GET", "/file", {"Range": "bytes=0-9"}, b""),
    ("GET", "/asked", {"Cookie": "taste=sweet"}, b""),
    ("GET", "/me", {"Authorization": "Basic dTpw"}, b""),
    ("GET", "/", {"Origin": "https://example.org"}, b""),
    ("OPTIONS", "/items", {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}, b""),
    ("POST", "/raw", {"Content-Type": "application/octet-stream"}, b"x" * 300_000),
    ("POST", "/notify", {}, b""),
    ("GET", "/static/fastapi_app.py", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, b""),
]  # fmt: skip


@pytest.mark.spec("FastAPI: Tutorial - User Guide")
@pytest.mark.parametrize("number", range(len(FASTAPI)), ids=names(FASTAPI))
def test_fastapi(fleet: Fleet, number: int) -> None:
    asked = FASTAPI[number]
    ours, theirs = (ask(fleet.ask(server, "fastapi_app:app"), asked) for server in ("pinnace", "uvicorn-httptools"))
    if asked[1] == "/broken":
        # Starlette's own words reach the client through both.
        assert (ours[0], ours[2]) == (theirs[0], theirs[2]) == (500, "Internal Server Error")
    elif asked[1] in FILES and ours != theirs:
        # Starlette hands a file to `http.response.pathsend`, which its GZipMiddleware lets pass as it is.
        plainly, compressibly = ("vary", "Origin"), ("vary", "Origin, Accept-Encoding")
        assert plainly in ours[1] and compressibly in theirs[1]
        ours[1].remove(plainly)
        theirs[1].remove(compressibly)
        assert ours == theirs
    else:
        assert ours == theirs
        assert asked[1] not in FILES or ours[0] != 200 or asked[2], "FILES is out of date"


@pytest.mark.spec("FastAPI: Dependencies with yield, Background Tasks, WebSockets")
@pytest.mark.parametrize("server", ["pinnace", "uvicorn-httptools"])
def test_what_fastapi_does_behind_an_answer(server: str, fleet: Fleet) -> None:
    running = fleet.ask(server, "fastapi_app:app")

    def written() -> Any:
        return running.get("/written").json()

    before = len(written())
    assert running.get("/session").json() == "session"
    until(lambda: written()[before:] == ["opened", "closed"], "the session is closed")
    assert running.get("/notify", "Content-Length: 0", method="POST").json() == "sent"
    until(lambda: written()[before + 2 :] == ["background"], "the background task")

    async def converse() -> None:
        async with websockets.connect(f"ws://127.0.0.1:{running.port}/chat") as socket:
            await socket.send('{"a": 1}')
            assert json.loads(await socket.recv()) == {"said": {"a": 1}}

    asyncio.run(converse())
    until(lambda: written()[before + 3 :] == ["chat ended 1000"], "the end of the chat")


# ---------------------------------------------------------------- Flask's tutorial, Django's project


class Visitor:
    """A browser with cookies, as far as two tutorials need one."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.cookies: dict[str, str] = {}
        self.seen: list[tuple[int, str | None, str]] = []

    def go(self, path: str, **form: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=LONGEST_WAIT)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request("POST" if form else "GET", path, urlencode(form) if form else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
            for cookie in response.headers.get_all("set-cookie") or []:
                name, _, value = cookie.split(";")[0].partition("=")
                self.cookies[name] = value
        finally:
            connection.close()
        self.seen.append((response.status, response.getheader("location"), plain(text, self.running)))
        return text


@pytest.mark.spec("Flask: Tutorial")
def test_flask(fleet: Fleet) -> None:
    seen = []
    for server in ("pinnace", "gunicorn"):
        visitor = Visitor(fleet.start(server, "flask_app:app"))
        try:
            for path in ("/", "/create", "/auth/register", "/nothing"):
                visitor.go(path)
            for _ in range(2):
                visitor.go("/auth/register", username="anna", password="secret")
            visitor.go("/auth/login", username="anna", password="wrong")
            visitor.go("/auth/login", username="anna", password="secret")
            visitor.go("/create", title="First é", body="Hello <b>")
            assert "First é" in visitor.go("/") and "anna" in visitor.go("/1/update")
            visitor.go("/2/update")
            visitor.go("/auth/logout")
            visitor.go("/create")
        finally:
            visitor.running.kill()
        seen.append(visitor.seen)
    assert seen[0] == seen[1]
    assert [status for status, _, _ in seen[0]][:4] == [200, 302, 200, 404]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `django-admin startproject` makes, with a user in its database."""
    folder = tmp_path_factory.mktemp("django")
    environment = dict(os.environ) | {"DJANGO_SUPERUSER_PASSWORD": "secret", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)

    def run(*words: str) -> None:
        subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True)

    run("-m", "django", "startproject", "mysite", ".")
    run("manage.py", "migrate", "--verbosity", "0")
    run("manage.py", "createsuperuser", "--noinput", "--username", "anna", "--email", "anna@example.org")
    return folder


@pytest.fixture(params=["wsgi", "asgi"])
def sites(
    project: Path, fleet: Fleet, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Running]]:
    monkeypatch.setattr(servers, "APPS", project)
    target = f"mysite.{request.param}:application"
    reference = "gunicorn" if request.param == "wsgi" else "uvicorn-httptools"
    running = [fleet.start(server, target) for server in ("pinnace", reference)]
    yield running
    for site in running:
        site.kill()


@pytest.mark.spec("Django: django-admin startproject")
def test_django(sites: list[Running]) -> None:
    seen = []
    for running in sites:
        visitor = Visitor(running)
        for path in ("/", "/nothing", "/admin", "/admin/"):
            visitor.go(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.go("/admin/login/"))
        assert token is not None
        visitor.go("/admin/login/", username="anna", password="secret", csrfmiddlewaretoken="forged")
        visitor.go("/admin/login/?next=/admin/", username="anna", password="secret", csrfmiddlewaretoken=token[1])
        for path in (
            "/admin/",
            "/admin/auth/user/",
            "/admin/auth/user/1/change/",
            "/admin/auth/user/9/change/",
            "/admin/jsi18n/",
        ):
            visitor.go(path)
        seen.append([(status, location, untimed(text)) for status, location, text in visitor.seen])
    assert seen[0] == seen[1]
    assert [status for status, _, _ in seen[0]] == [200, 404, 301, 302, 200, 403, 302, 200, 200, 200, 302, 200]


def untimed(text: str) -> str:
    """A page without its tokens, times and the names of the server that a debug page shows."""
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "TOKEN", text)
    return re.sub(r'value="\d\d:\d\d:\d\d"', "TIME", text)
