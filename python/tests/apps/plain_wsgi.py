"""A bare WSGI application with one path for each thing that can happen."""

from __future__ import annotations

import contextvars
import io
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
gate = threading.Event()
TEXT = [("Content-Type", "text/plain")]


def app(environ: dict[str, Any], start_response: Any) -> Any:
    """Routes by the path."""
    name = environ["PATH_INFO"].strip("/").replace("-", "_")
    handler = globals().get("do_" + name)
    if handler is None:
        start_response("404 Not Found", TEXT)
        return [environ["PATH_INFO"].encode("latin-1")]
    return handler(environ, start_response)


validated = validator(app)


def do_hello(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT, ("X-Latin", "caf\xe9")])
    return [b"hello"]


def do_environ(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return [repr({key: value for key, value in environ.items() if isinstance(value, str)}).encode()]


def do_echo(environ: dict[str, Any], start_response: Any) -> Any:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", TEXT)
    return [body]


def do_lines(environ: dict[str, Any], start_response: Any) -> Any:
    source = environ["wsgi.input"]
    parts = [source.readline(), source.read(3), *source.readlines(1), *source]
    start_response("200 OK", TEXT)
    return [repr(parts).encode()]


def do_size(environ: dict[str, Any], start_response: Any) -> Any:
    size = 0
    while chunk := environ["wsgi.input"].read(65536):
        size += len(chunk)
    start_response("200 OK", TEXT)
    return [str(size).encode()]


class Closing:
    """An iterable that says when it is closed."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self.parts

    def close(self) -> None:
        print("closed", file=sys.stderr, flush=True)


def do_stream(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return Closing(iter([b"one ", b"", b"two ", b"three"]))


def do_sized(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT, ("Content-Length", "8")])
    return iter([b"one ", b"more"])


def do_endless(environ: dict[str, Any], start_response: Any) -> Any:
    def parts() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    start_response("200 OK", TEXT)
    return Closing(parts())


def do_large(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return (b"y" * 65536 for _ in range(512))


def do_write(environ: dict[str, Any], start_response: Any) -> Any:
    write = start_response("200 OK", TEXT)
    write(b"written ")
    return [b"returned"]


def do_exc_info(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"replaced"]


def do_late_exc_info(environ: dict[str, Any], start_response: Any) -> Any:
    write = start_response("200 OK", TEXT)
    write(b"half")
    try:
        raise ValueError("too late")
    except ValueError:
        start_response("500 Error", TEXT, sys.exc_info())
    return []


def do_raise(environ: dict[str, Any], start_response: Any) -> Any:
    raise ValueError("raised before the response")


def do_raise_late(environ: dict[str, Any], start_response: Any) -> Any:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("raised in the middle")

    start_response("200 OK", TEXT)
    return Closing(parts())


def do_file(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT, ("Content-Length", "100000")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"z" * 100_000))


def do_context(environ: dict[str, Any], start_response: Any) -> Any:
    before = variable.get()
    variable.set("set")
    start_response("200 OK", TEXT)
    return [before.encode()]


def do_thread(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return [threading.current_thread().name.encode()]


def do_wait(environ: dict[str, Any], start_response: Any) -> Any:
    assert gate.wait(30)
    start_response("200 OK", TEXT)
    return [b"waited"]


def do_open(environ: dict[str, Any], start_response: Any) -> Any:
    gate.set()
    start_response("200 OK", TEXT)
    return [b"opened"]


def do_slow(environ: dict[str, Any], start_response: Any) -> Any:
    time.sleep(0.3)
    start_response("200 OK", TEXT)
    return [b"slow"]


def do_no_content(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("204 No Content", [])
    return [b""]
