"""A plain WSGI application."""

import os
from collections.abc import Callable, Iterable
from typing import Any

VERSION = "one"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"{VERSION} {os.getpid()} {size}".encode()]
