"""What a caller sees of a service's instances: one that dies under load costs nobody an answer.

The gateway follows them in the registry, and says whom it would ask.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from harbour import Harbour, Up, edit
from waiting import LONGEST_WAIT, until

Start = Callable[..., Up]

CLIENTS = 4
# Together 200 requests a second.
PAUSE = CLIENTS / 200
# Traffic moves within 100 ms; a test bounds time at five times the stated figure.
MOVED_WITHIN = 5 * 0.1


@dataclass(frozen=True)
class Asked:
    """One request: when, for how long, and what came of it."""

    begun: float
    took: float
    status: int
    text: str


class Steady:
    """Requests at a steady rate through the gateway."""

    def __init__(self, up: Up, path: str) -> None:
        self.address = urlsplit(up.service("gateway")["url"]).netloc
        self.path = path
        self.asked: list[Asked] = []
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Steady:
        for client in self._clients:
            client.start()
        until(lambda: len(self.asked) > 50, "there is a load")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def _ask(self) -> None:
        connection = HTTPConnection(self.address, timeout=LONGEST_WAIT)
        due = time.monotonic()
        while not self._stop.is_set():
            due += PAUSE
            self._stop.wait(max(0.0, due - time.monotonic()))
            begun = time.monotonic()
            try:
                connection.request("GET", self.path)
                response = connection.getresponse()
                status, text = response.status, response.read().decode()
            except (OSError, HTTPException) as error:
                status, text = 0, repr(error)
                connection.close()
            self.asked.append(Asked(begun, time.monotonic() - begun, status, text))
        connection.close()

    def goes_on(self) -> None:
        seen = len(self.asked)
        until(lambda: len(self.asked) > seen + 100, "the load goes on")


def gateway(up: Up, *request: str) -> Any:
    ended = up.command("ps", "--gateway", "--json", *request)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def instances(up: Up) -> dict[str, Any]:
    """The instances of the first route as the gateway knows them."""
    return {instance["id"]: instance for instance in gateway(up)["routes"][0]["instances"]}


def knows(up: Up, count: int) -> bool:
    return len(instances(up)) == count


def is_replaced(up: Up, hub: int) -> bool:
    [instance] = up.service("hub")["instances"] or [{"pid": hub}]
    return up.is_in("hub", "ready") and instance["pid"] != hub


def kill_one_of_three(up: Up, name: str, load: Steady) -> Asked:
    """Kills an instance with all that belongs to it; the slowest request from then on."""
    until(lambda: len(instances(up)) == 3, lambda: f"three are known: {gateway(up)}")
    load.goes_on()
    until(lambda: all(one["sent"] > 10 for one in instances(up).values()), "each has its share")
    victim = up.service(name)["instances"][0]
    killed = time.monotonic()
    os.kill(victim["pid"], signal.SIGKILL)
    load.goes_on()
    failed = [asked for asked in load.asked if asked.status != 200]
    assert failed == []
    return max((asked for asked in load.asked if asked.begun + asked.took >= killed), key=lambda asked: asked.took)


def test_a_killed_instance_costs_no_answer_and_the_others_take_over(harbour: Harbour, start: Start) -> None:
    harbour.service("orders", route="/")
    up = start("--no-watch").settled()
    assert up.command("scale", "orders=3").returncode == 0
    with Steady(up, "/") as load:
        slowest = kill_one_of_three(up, "orders", load)
    assert slowest.took < MOVED_WITHIN, slowest
    until(lambda: len(instances(up)) == 3, "it has a successor")


def test_a_killed_instance_of_a_rust_service_costs_no_answer_either(
    harbour: Harbour, shipping: str, start: Start
) -> None:
    harbour.program("shipping", shipping, socket_activation=True, health="/-/health/ready", route="/shipments")
    up = start("--no-watch").settled()
    assert up.command("scale", "shipping=3").returncode == 0
    with Steady(up, "/shipments") as load:
        slowest = kill_one_of_three(up, "shipping", load)
    assert slowest.took < MOVED_WITHIN, slowest


def test_a_hub_that_is_away_costs_no_answer_and_instances_stay_known(harbour: Harbour, start: Start) -> None:
    harbour.service("orders", route="/")
    up = start("--no-watch").settled()
    assert up.command("scale", "orders=2").returncode == 0
    until(lambda: len(instances(up)) == 2, "both are known")
    with Steady(up, "/") as load:
        for _ in range(3):
            hub = up.leader("hub")
            os.kill(hub, signal.SIGKILL)
            load.goes_on()
            assert len(instances(up)) == 2
            until(partial(is_replaced, up, hub), "it is back")
    assert [asked for asked in load.asked if asked.status != 200] == []
    assert up.command("scale", "orders=1").returncode == 0
    until(lambda: len(instances(up)) == 1, "the gateway hears of changes again")


def test_whoever_leaves_while_others_go_on_loses_nothing(harbour: Harbour, start: Start) -> None:
    harbour.service("orders", route="/")
    up = start("--no-watch").settled()
    with Steady(up, "/") as load:
        for wanted in (3, 1, 2):
            assert up.command("scale", f"orders={wanted}").returncode == 0
            until(partial(knows, up, wanted), "the gateway knows")
            load.goes_on()
        assert up.command("restart", "orders").returncode == 0
        load.goes_on()
    assert [asked for asked in load.asked if asked.status != 200] == []


def test_after_a_restart_every_answer_is_of_the_new_code(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("orders", route="/")
    up = start("--no-watch").settled()
    assert up.command("scale", "orders=2").returncode == 0
    until(lambda: len(instances(up)) == 2, "both are known")
    version = "one"
    for number in range(1, 7):
        old, version = version, "v" * (number + 3)
        edit(folder / "main.py", f'VERSION = "{old}"', f'VERSION = "{version}"')
        assert up.command("restart", "orders").returncode == 0
        assert {up.get("/")[1].split()[0] for _ in range(20)} == {version}


def test_the_gateway_says_what_it_would_do_with_a_request(harbour: Harbour, start: Start) -> None:
    harbour.service("orders", route=["/orders", "shop.example/"])
    up = start("--no-watch").settled()
    until(lambda: len(instances(up)) == 1, "it is known")
    shown = up.command("ps", "--gateway").stdout
    assert "  orders-1 " in shown and "instances are those of consul://127.0.0.1:" in shown, shown
    explained = gateway(up, "POST", "http://shop.example/any?x=1")
    assert (explained["method"], explained["host"], explained["path"]) == ("POST", "shop.example", "/any")
    assert explained["route"]["service"] == "orders" and explained["refusal"] is None
    assert [one["id"] for one in explained["route"]["instances"]] == ["orders-1"]
    assert gateway(up, "/nowhere")["refusal"][0] == 404
    assert gateway(up, "/orders/../x")["refusal"][0] == 400
    wrong = up.command("ps", "--gateway", "orders")
    assert wrong.returncode == 2 and "`orders` is no path and no URL" in wrong.stderr
    assert up.end() == 0
    ended = up.command("ps", "--gateway")
    assert ended.returncode != 0 and "does not run" in ended.stderr


def test_only_instances_with_the_routes_tags_get_requests(harbour: Harbour, start: Start) -> None:
    harbour.service("orders", route="/", route_tags=["hosted"])
    harbour.service("canary", route="canary.example/", route_tags=["canary"])
    up = start("--no-watch").settled()
    until(lambda: up.request("/").status == 200, "the tag of hosted instances is there")
    answer = up.request("/", headers={"Host": "canary.example"})
    assert answer.status == 503 and "has no instance with the route's tags" in answer.text
