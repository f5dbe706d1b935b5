"""Hello as JSON, without a framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BODY = b'{"message":"Hello, World!"}'
HEADERS = [("content-type", "application/json"), ("content-length", str(len(BODY)))]


def app(_environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]) -> list[bytes]:
    start_response("200 OK", HEADERS)
    return [BODY]
