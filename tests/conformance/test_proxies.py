"""What is believed of a proxy: forwarded headers from trusted peers only, and a root path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from conftest import on
from servers import Fleet, Setting

UVICORN = "uvicorn --proxy-headers, --forwarded-allow-ips"
ROOT = "ASGI HTTP: Connection scope, root_path"
TRUSTED = "127.0.0.1,10.0.0.0/8"


@dataclass(frozen=True)
class Case:
    """What a proxy says, and who the client is then."""

    name: str
    headers: tuple[str, ...]
    client: str | None
    scheme: str = "http"
    trusts: str | None = TRUSTED
    port: int | None = None

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("address", ("X-Forwarded-For: 1.2.3.4",), "1.2.3.4"),
    Case("address-and-port", ("X-Forwarded-For: 1.2.3.4:567",), "1.2.3.4", port=567),
    Case("ipv6", ("X-Forwarded-For: 2001:db8::1",), "2001:db8::1"),
    Case("ipv6-in-brackets", ("X-Forwarded-For: [2001:db8::1]:567",), "2001:db8::1", port=567),
    Case("scheme", ("X-Forwarded-Proto: https",), None, "https"),
    Case("both", ("X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"), "1.2.3.4", "https"),
    Case("odd-scheme", ("X-Forwarded-Proto: gopher",), None),
    Case("nearest-untrusted-of-a-chain", ("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.1.1",), "1.2.3.4"),
    Case("chain-over-two-fields", ("X-Forwarded-For: 6.6.6.6, 1.2.3.4", "X-Forwarded-For: 10.1.1.1"), "1.2.3.4"),
    Case("all-of-a-chain-trusted", ("X-Forwarded-For: 10.2.2.2, 10.1.1.1",), "10.2.2.2"),
    Case("by-default-loopback-is-trusted", ("X-Forwarded-For: 1.2.3.4",), "1.2.3.4", trusts=None),
    Case("everybody-is-trusted", ("X-Forwarded-For: 1.2.3.4, 5.6.7.8",), "1.2.3.4", trusts="*"),
    Case("nobody-we-know", ("X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"), None, trusts="10.0.0.1"),
    Case("no-address", ("X-Forwarded-For: unknown",), None),
    Case("forwarded", ("Forwarded: for=1.2.3.4;proto=https",), "1.2.3.4", "https"),
    Case("forwarded-ipv6", ('Forwarded: For="[2001:db8::1]:567"',), "2001:db8::1", port=567),
    Case("forwarded-chain", ("Forwarded: for=6.6.6.6, for=1.2.3.4;by=9.9.9.9, for=10.1.1.1",), "1.2.3.4"),
    Case("forwarded-obfuscated", ("Forwarded: for=_hidden;proto=https",), None, "https"),
    Case("forwarded-from-nobody-we-know", ("Forwarded: for=1.2.3.4;proto=https",), None, trusts="10.0.0.1"),
    Case("x-forwarded-wins", ("X-Forwarded-For: 1.2.3.4", "Forwarded: for=6.6.6.6;proto=https"), "1.2.3.4"),
]


def spec(case: Case) -> Any:
    section = "RFC 7239 4" if "orwarded" in case.name else UVICORN
    return pytest.param(case, id=case.name, marks=pytest.mark.spec(section))


@on("pinnace", "uvicorn-httptools")
@pytest.mark.parametrize("case", [spec(case) for case in CASES])
def test_forwarded(server: str, fleet: Fleet, case: Case) -> None:
    app = fleet.ask(server, "asgi_app:app", Setting(trusts=case.trusts))
    scope = app.get("/x", *case.headers).json()
    assert (scope["client"][0], scope["scheme"]) == (case.client or "127.0.0.1", case.scheme)
    if case.port is not None:
        assert scope["client"][1] == case.port
    names = [name for name, _ in scope["headers"]]
    assert case.headers[0].split(":")[0].lower() in names, "the application may look for itself"


@on("pinnace", "uvicorn-httptools")
@pytest.mark.spec(UVICORN)
def test_nobody_is_believed_where_that_is_said(server: str, fleet: Fleet) -> None:
    app = fleet.ask(server, "asgi_app:app", Setting(believes=False))
    scope = app.get("/x", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https").json()
    assert (scope["client"][0], scope["scheme"]) == ("127.0.0.1", "http")


@on("pinnace", "uvicorn-httptools")
@pytest.mark.spec(UVICORN)
def test_the_environment_says_who_is_believed(server: str, fleet: Fleet) -> None:
    app = fleet.ask(server, "asgi_app:app", Setting(environment=(("FORWARDED_ALLOW_IPS", "10.0.0.1"),)))
    assert app.get("/x", "X-Forwarded-For: 1.2.3.4").json()["client"][0] == "127.0.0.1"


WSGI_CASES = ("address", "scheme", "nobody-we-know", "by-default-loopback-is-trusted", "forwarded")


@on("pinnace", "gunicorn")
@pytest.mark.parametrize("case", [spec(case) for case in CASES if case.name in WSGI_CASES])
def test_forwarded_to_wsgi(server: str, fleet: Fleet, case: Case) -> None:
    app = fleet.ask(server, "wsgi_app:app", Setting(trusts=case.trusts and case.trusts.replace(",10.0.0.0/8", "")))
    environ = app.get("/x", *case.headers).json()
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (case.client or "127.0.0.1", case.scheme)


@on("pinnace", "uvicorn-httptools", "hypercorn")
@pytest.mark.spec(ROOT)
@pytest.mark.parametrize("target", ["/api/x?a", "/x?a"], ids=["kept-by-the-proxy", "cut-off-by-the-proxy"])
def test_root_path(server: str, fleet: Fleet, target: str) -> None:
    app = fleet.ask(server, "asgi_app:app", Setting(root_path="/api"))
    scope = app.get(target).json()
    assert (scope["root_path"], scope["path"], scope["query_string"]) == ("/api", "/api/x", "a")


@on("pinnace")
@pytest.mark.spec(ROOT)
def test_a_root_path_ends_at_a_slash(server: str, fleet: Fleet) -> None:
    app = fleet.ask(server, "asgi_app:app", Setting(root_path="/api"))
    assert app.get("/apix").json()["path"] == "/api/apix"


@on("pinnace", "gunicorn")
@pytest.mark.spec("PEP 3333: environ variables, SCRIPT_NAME")
@pytest.mark.parametrize("target", ["/api/x?a", "/x?a"], ids=["kept-by-the-proxy", "cut-off-by-the-proxy"])
def test_script_name(server: str, fleet: Fleet, target: str) -> None:
    setting = Setting(environment=(("SCRIPT_NAME", "/api"),)) if server == "gunicorn" else Setting(root_path="/api")
    environ = fleet.ask(server, "wsgi_app:app", setting).get(target).json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/api", "/x", "a")
