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
            token = self.given["CONSUL_HTTP_TOKEN"]
            headers = {"X-Consul-Token": token, "Accept": "application/json", "Content-Type": "application/json"}
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


def test_of_two_instances_the_one_that_is_killed_is_gone_at_once(harbour: Harbour, start: Callable[..., Up]) -> None:
    harbour.service("shop")
    harbour.program("watcher")
    up = start("--no-watch").settled()
    assert up.command("scale", "shop=2").returncode == 0
    watcher = Registry(up, "watcher")
    for _ in range(3):
        until(lambda: len(watcher.found("shop", "passing")) == 2, "both are passing")
        first = min(up.service("shop")["instances"], key=lambda instance: instance["id"])
        _, index, _ = watcher.ask("GET", "/v1/health/service/shop?passing")
        begun = time.monotonic()
        os.kill(first["pid"], signal.SIGKILL)
        _, _, text = watcher.ask("GET", f"/v1/health/service/shop?passing&index={index}&wait=20s")
        took = time.monotonic() - begun
        assert [one["Service"]["ID"] != first["id"] for one in json.loads(text)] == [True]
        assert took < 0.5, f"{took:.3f} s until the dead was forgotten"


def test_what_is_registered_outlives_the_hub(harbour: Harbour, start: Callable[..., Up]) -> None:
    harbour.program("web")
    up = start("--no-watch").settled()
    registry = Registry(up, "web")
    until(lambda: len(registry.found("web", "passing")) == 1, "the system's own")
    last = 0
    for number in range(3):
        check = {"TTL": "60s", "Status": "passing"}
        own = {"Name": "web", "ID": f"mine-{number}", "Port": 7000 + number, "Check": check}
        assert registry.ask("PUT", "/v1/agent/service/register", own)[0] == 200
        index = int(registry.ask("GET", "/v1/health/service/web")[1])
        assert index > last
        os.kill(up.leader("hub"), signal.SIGKILL)
        # The socket belongs to the system: whoever asks now waits for the next hub.
        found = {one["ID"] for one in registry.found("web", "passing")}
        assert found >= {f"mine-{known}" for known in range(number + 1)}, "what was acknowledged is there"
        last = int(registry.ask("GET", "/v1/health/service/web")[1])
        assert last >= index


def test_a_system_preserves_its_leases_where_it_is_told_so(harbour: Harbour, start: Callable[..., Up]) -> None:
    harbour.program("web")
    registry = Registry(start("--no-watch", "--self-preservation").settled(), "web")
    for number in range(10):
        instance = {
            "instanceId": f"web:{number}",
            "app": "WEB",
            "hostName": "127.0.0.1",
            "port": {"$": 7000 + number, "@enabled": "true"},
            "dataCenterInfo": {"name": "MyOwn"},
            "leaseInfo": {"renewalIntervalInSecs": 1, "durationInSecs": 1},
        }
        assert registry.ask("POST", "/eureka/apps/WEB", {"instance": instance})[0] == 204

    def leases() -> int:
        return sum(one["ID"].startswith("web:") for one in registry.found("web"))

    until(lambda: leases() == 8, "15 % have gone")
    deadline = time.monotonic() + 2.5
    until(lambda: time.monotonic() > deadline, "more than two further terms")
    assert leases() == 8
