"""The registry of a running system: what services find in it, register in it, and how fast it forgets the dead."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from harbour import Harbour, Up
from waiting import LONGEST_WAIT, until


class Registry:
    """The registry as a service meets it: with the variables that it was given, and nothing else."""

    def __init__(self, up: Up, service: str) -> None:
        self.given: dict[str, str] = json.loads(up.get("/environment", service)[1])

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection(self.given["CONSUL_HTTP_ADDR"], timeout=LONGEST_WAIT)
        try:
            headers = {"X-Consul-Token": self.given["CONSUL_HTTP_TOKEN"], "Accept": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            index = response.getheader("X-Consul-Index") or ""
            return response.status, index, response.read().decode()
        finally:
            connection.close()

    def found(self, service: str, query: str = "") -> list[dict[str, Any]]:
        status, _, text = self.ask("GET", f"/v1/health/service/{service}?{query}")
        assert status == 200, text
        return [item["Service"] for item in json.loads(text)]


def test_a_system_is_found_through_both_faces(harbour: Harbour, start: Callable[..., Up]) -> None:
    harbour.program("web")
    harbour.service("shop")
    up = start("--no-watch").settled()
    until(lambda: up.hub("/api/v1/registry/services/shop")["instances"] != [], "the hub hears of it")
    registry = Registry(up, "web")
    until(lambda: len(registry.found("shop", "passing")) == 1, "it is passing")
    (shop,) = registry.found("shop")
    assert (shop["ID"], shop["Address"]) == ("shop-1", "127.0.0.1")
    given = registry.given
    assert given["EUREKA_SERVER"] == (f"http://web:{given['CONSUL_HTTP_TOKEN']}@{given['CONSUL_HTTP_ADDR']}/eureka/")
    apps = json.loads(registry.ask("GET", "/eureka/apps/SHOP")[2])
    assert apps["application"]["instance"][0]["status"] == "UP"
    assert registry.ask("PUT", "/v1/agent/service/register", {"Name": "shop", "Port": 1})[0] == 403
    assert registry.ask("PUT", "/v1/agent/service/deregister/shop-1")[0] == 403
    assert registry.ask("GET", "/api/v1/system")[0] == 401, "the hub's own API is not for services"
    assert given["CONSUL_HTTP_TOKEN"] not in up.text


def test_what_a_service_registers_goes_with_its_process(harbour: Harbour, start: Callable[..., Up]) -> None:
    harbour.program("web")
    harbour.program("watcher")
    up = start("--no-watch").settled()
    registry, watcher = Registry(up, "web"), Registry(up, "watcher")
    until(lambda: len(watcher.found("web", "passing")) == 1, "the system's own")
    own = {"Name": "web", "ID": "mine", "Address": "127.0.0.1", "Port": int(registry.given["PORT"]), "Tags": ["v7"]}
    assert registry.ask("PUT", "/v1/agent/service/register", own)[0] == 200
    assert [(one["ID"], one["Tags"]) for one in watcher.found("web")] == [("mine", ["v7"])], "it stands for both"
    _, index, _ = watcher.ask("GET", "/v1/health/service/web?passing")
    begun = time.monotonic()
    os.kill(int(json.loads(up.get("/", "web")[1])["pid"]), signal.SIGKILL)
    _, after, text = watcher.ask("GET", f"/v1/health/service/web?passing&index={index}&wait=20s")
    took = time.monotonic() - begun
    assert json.loads(text) == [] and int(after) > int(index)
    # Five times what is stated: the machine has other work.
    assert took < 0.5, f"{took:.3f} s until the dead was forgotten"
    until(lambda: len(watcher.found("web", "passing")) == 1, "the next process is found")
    assert [one["ID"] for one in watcher.found("web")] == ["web-1"]
