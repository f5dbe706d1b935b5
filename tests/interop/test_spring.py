"""A Spring Boot service, unmodified, in our registry."""

from __future__ import annotations

import http.server
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import TOKEN, Hub
from spring import Spring
from waiting import until


@pytest.fixture
def catalog(hub: Hub) -> Iterator[int]:
    """A service that is registered through Consul's face; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "11")
            self.end_headers()
            self.wfile.write(b"the catalog")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    body = json.dumps({"Name": "catalog", "Address": "127.0.0.1", "Port": port})
    assert hub.ask("PUT", "/v1/agent/service/register", body)[0] == 200
    yield port
    server.shutdown()


def started(hub: Hub, peers: Path) -> Spring:
    client = Spring(
        peers,
        "client",
        **{
            "spring.application.name": "spring-shop",
            "eureka.client.service-url.defaultZone": f"http://operator:{TOKEN}@127.0.0.1:{hub.port}/eureka/",
            "eureka.client.registry-fetch-interval-seconds": 1,
            "eureka.client.initial-instance-info-replication-interval-seconds": 0,
            "eureka.instance.hostname": "127.0.0.1",
            "eureka.instance.lease-renewal-interval-in-seconds": 1,
            "eureka.instance.lease-expiration-duration-in-seconds": 3,
        },
    )
    try:
        return client.started()
    except BaseException:
        client.end()
        raise


def test_a_spring_boot_service_registers_finds_another_and_calls_it(hub: Hub, catalog: int, peers: Path) -> None:
    client = started(hub, peers)
    try:

        def ask(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{client.port}{path}", timeout=30) as answer:
                text: str = answer.read().decode()
                return text

        until(lambda: ask("/found/catalog") == f'["http://127.0.0.1:{catalog}"]', "it finds the catalog")
        assert ask("/call/catalog") == "the catalog"
        until(lambda: ask("/found/spring-shop") == f'["http://127.0.0.1:{client.port}"]', "it finds itself")
        shown = hub.json("/v1/health/service/spring-shop?passing")
        assert isinstance(shown, list) and [item["Service"]["Port"] for item in shown] == [client.port]
        # A change is told by differences, whose hash code has to be what it holds then.
        hub.ask("PUT", "/v1/agent/service/deregister/catalog")
        until(lambda: ask("/found/catalog") == "[]", "it hears of the catalog's end")
        assert not any("not consistent" in line or "hashcode" in line.lower() for line in client.lines)
    finally:
        client.end()
    until(lambda: hub.ask("GET", "/eureka/apps/SPRING-SHOP")[0] == 404, "it takes its leave")


def test_a_spring_boot_service_that_is_killed_is_gone_when_its_lease_ends(hub: Hub, peers: Path) -> None:
    client = started(hub, peers)
    try:
        until(lambda: hub.ask("GET", "/eureka/apps/SPRING-SHOP")[0] == 200, "it registers")
        deadline = time.monotonic() + 4.5
        until(lambda: time.monotonic() > deadline, "more than its term")
        assert hub.ask("GET", "/eureka/apps/SPRING-SHOP")[0] == 200, "it beats"
    finally:
        client.process.kill()
    begun = time.monotonic()
    until(lambda: hub.ask("GET", "/eureka/apps/SPRING-SHOP")[0] == 404, "its lease ends")
    assert time.monotonic() - begun < 3.5, "three seconds after its last beat"
