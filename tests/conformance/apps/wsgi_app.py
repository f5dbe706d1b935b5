"""A WSGI application with one path for each thing that PEP 3333 lets an application do.

`app` is the application itself; `validated` and `linted` are the same behind `wsgiref.validate` and Werkzeug's
LintMiddleware, whose warnings are made errors.
"""

from __future__ import annotations

import contextvars
import io
import json
import sys
import tempfile
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs
from wsgiref.validate import validator

from werkzeug.middleware.lint import HTTPWarning, LintMiddleware, WSGIWarning

warnings.simplefilter("error", WSGIWarning)
warnings.simplefilter("error", HTTPWarning)

seen: dict[str, list[Any]] = defaultdict(list)
gates: dict[str, threading.Event] = defaultdict(threading.Event)
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
TEXT = [("Content-Type", "text/plain")]


def app(environ: dict[str, Any], start_response: Any) -> Any:
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    name = "do_" + environ["PATH_INFO"].strip("/").replace("-", "_")
    handler = globals().get(name, do_environ)
    return handler(environ, start_response, query)


def notes(query: dict[str, str]) -> list[Any]:
    return seen[query.get("token", "")]


class Closing:
    """An iterable that notes that it was closed, and how often."""

    def __init__(self, query: dict[str, str], parts: Any) -> None:
        self._noted = notes(query)
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        self._noted.append(["closed"])


def text(start_response: Any, body: bytes, *headers: tuple[str, str]) -> list[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body))), *headers])
    return [body]


def body_of(environ: dict[str, Any]) -> bytes:
    """The whole body, with or without a length."""
    if environ.get("CONTENT_LENGTH"):
        data: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        return data
    if environ.get("wsgi.input_terminated"):
        parts = []
        while part := environ["wsgi.input"].read(65536):
            parts.append(part)
        return b"".join(parts)
    return b""


# ---------------------------------------------------------------- paths that all suites use


def do_hello(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(start_response, b"hello")


def do_seen(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(start_response, json.dumps(notes(query)).encode())


def do_open(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    gates[query["gate"]].set()
    return text(start_response, b"open")


def do_echo(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(start_response, body_of(environ))


def do_length(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(start_response, str(len(body_of(environ))).encode())


def do_environ(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, bool, int, tuple))}
    types = {key: type(value).__name__ for key, value in environ.items()}
    return text(start_response, json.dumps(shown | {"types": types}).encode())


# ---------------------------------------------------------------- wsgi.input


def do_read_all(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(start_response, environ["wsgi.input"].read())


def do_read_some(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    source = environ["wsgi.input"]
    parts = [source.read(3), source.read(0), source.read(4), source.read(1000), source.read(1000)]
    return text(start_response, json.dumps([part.decode("latin-1") for part in parts]).encode())


def do_lines(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    source = environ["wsgi.input"]
    shown = {
        "first": source.readline(),
        "part": source.readline(2),
        "list": source.readlines(),
        "end": source.readline(),
    }
    plain = {
        key: [v.decode() for v in value] if isinstance(value, list) else value.decode() for key, value in shown.items()
    }
    return text(start_response, json.dumps(plain).encode())


def do_iterate(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(start_response, json.dumps([line.decode() for line in environ["wsgi.input"]]).encode())


def do_unread(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(start_response, b"not read")


# ---------------------------------------------------------------- what is returned


def do_generator(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    noted = notes(query)

    def parts() -> Iterator[bytes]:
        try:
            start_response("200 OK", TEXT)
            yield b"one "
            yield b""
            yield b"two"
        finally:
            noted.append(["finally"])

    return parts()


def do_stream(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    return Closing(query, [b"one ", b"two ", b"three"])


def do_one(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    return [b"one part"]


def do_nothing(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    return []


def do_closes(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    """Closed also where no body is wanted, and where the body raises."""
    status = query.get("status", "200 OK")
    start_response(status, TEXT if status.startswith("200") else [])

    def parts() -> Iterator[bytes]:
        if status.startswith("200"):
            yield b"begun "
        if query.get("raise"):
            raise ValueError("raised by the iterable")

    return Closing(query, parts())


def do_endless(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    return Closing(query, iter(lambda: b"x" * 65536, b""))


def do_waits(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)

    def parts() -> Iterator[bytes]:
        yield b"first "
        gates[query["gate"]].wait(10)
        yield b"second"

    return parts()


def do_write(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    write = start_response("200 OK", TEXT)
    write(b"written ")
    write(b"")
    write(b"twice ")
    return [b"returned"]


def do_write_only(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    write = start_response("200 OK", [*TEXT, ("Content-Length", "7")])
    write(b"written")
    return []


def do_length_short(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    return iter([b"half", b""])


def do_length_long(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", [*TEXT, ("Content-Length", "4")])
    return iter([b"four", b"more"])


def do_status(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    status = query["status"]
    start_response(status, [] if status[:3] in ("204", "304") else TEXT)
    return [] if status[:3] in ("204", "304") else [b"body"]


def do_body_where_none_may_be(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response(query["status"], [])
    return [b"must not be sent"]


def do_headers(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return text(
        start_response,
        b"headers",
        ("X-Latin", "caf\xe9"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Empty", ""),
    )


def do_bad_header(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", [*TEXT, ("X-Split", "one\r\nX-Injected: two")])
    return [b"split"]


def do_bad_name(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", [*TEXT, ("X Split", "one")])
    return [b"split"]


def do_wide_header(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", [*TEXT, ("X-Wide", "\u20ac")])
    return [b"wide"]


def do_str_body(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    return ["no bytes"]


def do_without_start(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    return [b"no head"]


def do_start_twice(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"twice"]


# ---------------------------------------------------------------- exc_info


def do_replaced(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", [*TEXT, ("X-First", "1")])
    try:
        raise ValueError("found out late")
    except ValueError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"replaced"]


def do_too_late(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    def parts() -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"begun"
        try:
            raise ValueError("found out too late")
        except ValueError:
            try:
                start_response("500 Internal Server Error", TEXT, sys.exc_info())
            except ValueError:
                notes(query).append(["raised again"])
                raise
        yield b"not sent"

    return parts()


def do_raise(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    raise ValueError("raised before the response")


def do_raise_after_start(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    raise ValueError("raised before a byte was sent")


# ---------------------------------------------------------------- file_wrapper


class Wrapped(io.BytesIO):
    """A file that notes its closing."""

    def __init__(self, query: dict[str, str], data: bytes) -> None:
        super().__init__(data)
        self._noted = notes(query)

    def close(self) -> None:
        self._noted.append(["file closed"])
        super().close()


def do_file(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](Wrapped(query, b"z" * 100_000), 4096)


def do_real_file(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 — the server closes it
    file.write(b"0123456789" * 20_000)
    file.seek(int(query.get("from", "0")))
    headers = [("Content-Length", query["length"])] if "length" in query else []
    start_response("200 OK", [*TEXT, *headers])
    return environ["wsgi.file_wrapper"](file)


# ---------------------------------------------------------------- threads


def do_context(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    before = variable.get()
    variable.set("set by a request")
    return text(start_response, before.encode())


def do_thread(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    is_main = threading.current_thread() is threading.main_thread()
    return text(start_response, json.dumps({"main": is_main, "name": threading.current_thread().name}).encode())


def do_errors(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    environ["wsgi.errors"].write(f"written to wsgi.errors by {query['token']}\n")
    environ["wsgi.errors"].writelines(["and a line ", "more\n"])
    environ["wsgi.errors"].flush()
    return text(start_response, b"written")


def do_mutates(environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Any:
    before = environ.get("conformance.mark", "clean")
    environ["conformance.mark"] = "dirty"
    environ["SCRIPT_NAME"] = "/changed"
    return text(start_response, str(before).encode())


validated = validator(app)
linted = LintMiddleware(app)
