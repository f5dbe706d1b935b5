"""The gateway of a system: prefixes and hosts of the manifest, streams both ways, WebSocket, what services are told."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harbour import Harbour, Up
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def up(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One system for all tests of this file."""
    harbour = Harbour(tmp_path_factory.mktemp("harbour"))
    harbour.service("front", route="/")
    harbour.service("back", route=["/back", "back.example/"])
    (harbour.folder / "back/main.py").write_text(
        (harbour.folder / "back/main.py").read_text().replace('VERSION = "one"', 'VERSION = "back"')
    )
    harbour.service("inner")
    up = Up(binary, harbour.folder, "--max-body", "64MiB")
    try:
        yield up.settled()
        assert up.end() == 0
    finally:
        up.close()


@pytest.mark.parametrize(
    ("host", "path", "version"),
    [
        ("x", "/", "one"),
        ("x", "/backwards", "one"),
        ("x", "/back", "back"),
        ("x", "/back/any", "back"),
        ("back.example", "/any", "back"),
        ("BACK.example:8080", "/any", "back"),
    ],
)
def test_prefixes_and_hosts_lead_to_their_services(up: Up, host: str, path: str, version: str) -> None:
    answer = up.request(path, headers={"Host": host})
    assert answer.status == 200 and answer.text.startswith(f"{version} ")


def test_a_service_is_told_who_asks_and_is_given_the_id_of_the_request(up: Up) -> None:
    said = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Request-Id": "abc-123"}
    answer = up.request("/back/headers", headers={"Host": "shop.example", **said})
    found = json.loads(answer.body)
    assert answer.headers["x-request-id"] == found["x-request-id"] == "abc-123"
    assert found["x-forwarded-for"] == "127.0.0.1" and "6.6.6.6" not in found.get("forwarded", "")
    assert found["x-forwarded-host"] == "shop.example" and found["x-forwarded-proto"] == "http"
    assert found["path"] == "/back/headers", "the prefix stays"
    made = up.request("/back/headers").headers["x-request-id"]
    assert made and re.fullmatch(r"[0-9A-Za-z-]{16,}", made)


def test_a_body_above_the_limit_is_refused_before_it_is_sent(up: Up) -> None:
    answer = up.request("/back", method="POST", headers={"Content-Length": str((64 << 20) + 1)})
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(answer.body)["service"] == "back"


def test_the_management_paths_of_a_service_are_not_reached(up: Up) -> None:
    assert up.get("/-/metrics", "front")[0] == up.get("/-/info", "front")[0] == 200
    for path in ("/-/metrics", "/-/info", "//-/info", "/%2d/info", "/./-/info"):
        status, text = up.get(path)
        assert status in (400, 404) or text.startswith("one "), f"{path}: {status} {text}"


def test_pieces_go_both_ways_as_they_come(up: Up) -> None:
    address = urlsplit(up.ps()["gateway_url"])
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as stream:
        stream.sendall(b"POST /back/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = b""
        for number in range(1, 4):
            stream.sendall(b"7\r\npiece-%d\r\n" % number)
            # The next piece is sent only when the answer to this one is here.
            while b"PIECE-%d" % number not in answer:
                answer += stream.recv(4096)
        stream.sendall(b"0\r\n\r\n")
        while b"\r\n0\r\n\r\n" not in answer:
            answer += stream.recv(4096)


def test_a_websocket_goes_through(up: Up) -> None:
    url = up.ps()["gateway_url"].replace("http://", "ws://")
    with connect(f"{url}/back/socket") as client:
        for text in ("ahoy", "größe", "x" * 70_000):
            client.send(text)
            assert client.recv(timeout=20) == f"back: {text}"
