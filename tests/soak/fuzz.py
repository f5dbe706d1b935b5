"""Nonsense against a hub: every answer is one, its memory is bounded, and whoever behaves is served meanwhile.

A round is a number of broken requests on several connections at once, with half-open connections, messages to the
resolver and, each so many rounds, as much as there is room for. Meanwhile one service beats, is found and is watched.
Then everything but that service is removed, and the hub has to be small again. Each so many rounds it is killed and
started again.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import checks
import nonsense
import processes
from nonsense import Request
from registry import LONGEST, TOKEN, Connection, Registry, dns_answers, dns_question, service_token
from system import SoakError, until

# MiB of Pss: under fire, and when the round is over; the allocator keeps what a full registry took.
PEAK_WITHIN = 192.0
REST_WITHIN = 128.0
# Seconds in which whoever behaves is answered, and hears of a change, while others write and read a full registry.
SERVED_WITHIN = 1.0
# Descriptors of a hub that nobody speaks to, and seconds until it is there.
REST_DESCRIPTORS = 64
REST_SOON = 15.0
ATTACKERS = 4
HALF_OPEN = 150
FLOOD_EVERY = 6
KILL_EVERY = 5


@dataclass(frozen=True)
class FuzzOptions:
    binary: Path
    folder: Path
    first: int
    rounds: int
    # Of each attacker, in each round.
    requests: int
    patience: float = 1.0
    sabotage: str = ""


@dataclass
class Seen:
    """What rounds have shown so far; several threads add to it."""

    finished: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    resolved: int = 0
    served: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    rests: list[float] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    full: int = 0
    kills: int = 0
    complaints: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        served = sorted(self.served)
        return {
            "rounds": self.finished,
            "sent": dict(sorted(self.sent.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "closed_without_an_answer": self.closed,
            "resolver_answers": self.resolved,
            "refused_because_it_was_full": self.full,
            "hub_kills": self.kills,
            "hub_pss_mib_max": round(max(self.peaks, default=0.0), 1),
            "hub_pss_mib_after_rounds": [round(rest, 1) for rest in self.rests[:: max(1, len(self.rests) // 6)]],
            "served": len(served),
            "served_ms": {
                name: round(1000 * served[int(part * (len(served) - 1))], 1) if served else None
                for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            },
            "disk_alone_ms_max": round(1000 * max(self.stalls, default=0.0), 1),
            "changes": len(self.told),
            "change_told_ms_max": round(1000 * max(self.told, default=0.0), 1),
        }


def run(options: FuzzOptions, seed: int, interrupted: Callable[[], bool]) -> Seen:
    seen = Seen()
    registry = Registry(options.binary, options.folder)
    registry.start()
    try:
        for number in range(options.first, options.rounds):
            if interrupted() or seen.complaints:
                break
            began = time.monotonic()
            one_round(registry, options, f"{seed} fuzz {number}", number, seen)
            seen.finished += 1
            print(
                f"round {number}: {time.monotonic() - began:.1f} s, {sum(seen.sent.values())} sent, "
                f"{seen.peaks[-1]:.0f} MiB at most, {seen.rests[-1]:.0f} MiB after it",
                flush=True,
            )
    except SoakError as error:
        seen.complaints.append(f"{error}; the hub said: {' / '.join(registry.last_lines)}")
    finally:
        if not registry.lives():
            seen.complaints.append(f"the hub has ended: {' / '.join(registry.last_lines)}")
        seen.complaints += [f"the hub panicked: {line}" for line in registry.panics]
        registry.kill()
    return seen


def one_round(registry: Registry, options: FuzzOptions, name: str, number: int, seen: Seen) -> None:
    over = threading.Event()
    keeper = Keeper(registry, seen, over)
    keeper.register()
    attackers: list[Callable[[], None]] = [
        lambda which=which: attack(registry, random.Random(f"{name} {which}"), options.requests, seen)  # type: ignore[misc]
        for which in range(ATTACKERS)
    ]
    attackers += [
        lambda: throw_garbage(registry, random.Random(f"{name} garbage"), options.requests // 8, seen),
        lambda: ask_oddly(registry, random.Random(f"{name} dns"), options.requests, seen),
        lambda: leave_open(registry, random.Random(f"{name} half"), over, seen),
    ]
    if number % FLOOD_EVERY == 0:
        attackers.append(lambda: flood(registry, seen))
    watched: list[Callable[[], None]] = [
        keeper.beat,
        keeper.change,
        keeper.watch,
        lambda: measure(registry, seen, over),
    ]
    besides = [threading.Thread(target=act, daemon=True) for act in (*watched, attackers.pop(6))]
    threads = [threading.Thread(target=act, daemon=True) for act in attackers]
    for thread in besides + threads:
        thread.start()
    if options.sabotage == "crash":
        registry.kill()
    for thread in threads:
        thread.join()
    over.set()
    for thread in besides:
        thread.join()
    if not registry.lives():
        raise SoakError("the hub has ended")
    limit = 1.0 if options.sabotage == "memory" else PEAK_WITHIN
    within = 0.0 if options.sabotage == "slow" else SERVED_WITHIN * options.patience
    seen.complaints += checks.at_most(f"round {number}: the hub holds", max(seen.peaks[-1:]), limit, "MiB")
    seen.complaints += checks.at_most(f"round {number}: a service was answered", max(keeper.served), within, "s")
    seen.complaints += checks.at_most(f"round {number}: a change was told", max(keeper.told), within, "s")
    remove_all(registry)
    settle(registry, number, seen)
    if number % KILL_EVERY == KILL_EVERY - 1:
        kill(registry, keeper, seen)


def attack(registry: Registry, draw: random.Random, requests: int, seen: Seen) -> None:
    """Broken requests, one after the other; every answer is judged."""
    connection = Connection(registry.port)
    for _ in range(requests):
        request = nonsense.request(draw)
        token = draw.choices((TOKEN, service_token("web"), "wrong", ""), (16, 3, 1, 1))[0]
        if token == TOKEN and request.path == "/v1/agent/check/register":
            # A check that lost its service is the node's: the hub's own token may declare all that is on it ill.
            token = service_token("web")
        judge(connection, request, token, seen)
        if not registry.lives():
            return
    connection.close()


def judge(connection: Connection, request: Request, token: str, seen: Seen) -> None:
    seen.sent[request.kind] += 1
    patience = 0.3 if request.waits else LONGEST
    try:
        status, media_type, body = connection.ask(request.wire(token), patience, request.method != "HEAD")
    except TimeoutError:
        connection.close()
        if not request.waits:
            seen.complaints.append(f"no answer within {patience:g} s: {request.method} {request.path[:200]}")
        return
    except OSError:
        # A body beyond the bound is refused without being read to its end, and the answer may get lost by that.
        connection.close()
        seen.closed += 1
        if len(request.body) < 65_536 and len(request.path) < 8_000:
            seen.complaints.append(f"closed without an answer: {request.method} {request.path[:200]}")
        return
    seen.statuses[str(status)] += 1
    if request.method != "HEAD":
        seen.complaints += checks.answer(f"{request.method} {request.path[:200]}", status, media_type, body)


def throw_garbage(registry: Registry, draw: random.Random, count: int, seen: Seen) -> None:
    """What is no request is refused, or the connection is closed; nobody waits for the end of it."""
    for _ in range(count):
        seen.sent["garbage"] += 1
        connection = Connection(registry.port)
        try:
            status, _, _ = connection.ask(nonsense.garbage(draw), 0.3)
        except OSError:
            seen.closed += 1
            continue
        finally:
            connection.close()
        seen.statuses[str(status)] += 1
        if status >= 500 and status not in (501, 505):
            seen.complaints.append(f"garbage was answered with {status}")


def ask_oddly(registry: Registry, draw: random.Random, count: int, seen: Seen) -> None:
    """Messages to the resolver; what it answers is an answer to them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.05)
        for _ in range(count):
            seen.sent["dns"] += 1
            asked = nonsense.message(draw)
            sender.sendto(asked, ("127.0.0.1", registry.dns))
            try:
                answer = sender.recv(65_536)
            except OSError:
                continue
            seen.resolved += 1
            if len(answer) > 1_232 or len(answer) < 12 or not answer[2] & 0x80:
                seen.complaints.append(f"{asked!r} was answered with {answer[:60]!r}, {len(answer)} bytes")
    for _ in range(count // 20):
        with socket.create_connection(("127.0.0.1", registry.dns), timeout=LONGEST) as connection:
            asked = nonsense.message(draw)
            connection.sendall(len(asked).to_bytes(2, "big")[: draw.randrange(1, 3)] + asked)


def leave_open(registry: Registry, draw: random.Random, over: threading.Event, seen: Seen) -> None:
    """Beginnings whose ends never come, until the round is over."""
    opened = []
    for number in range(HALF_OPEN):
        try:
            port = registry.dns if number % 10 == 0 else registry.port
            connection = socket.create_connection(("127.0.0.1", port), timeout=LONGEST)
            opened.append(connection)
            connection.sendall(nonsense.half(draw, TOKEN))
            seen.sent["half-open"] += 1
        except OSError:
            # The hub may have closed it by now.
            continue
    over.wait()
    for connection in opened:
        connection.close()


def flood(registry: Registry, seen: Seen) -> None:
    """As many registrations of the largest kind as there is room for, and everyone who asks for all of them."""
    meta = {f"k{number}": "x" * 1_000 for number in range(64)}
    connection = Connection(registry.port)
    refused = 0
    for number in range(2_000):
        document = {"Name": "flood", "ID": f"flood-{number}", "Port": 1, "Meta": meta, "Tags": ["y" * 200] * 60}
        wire = Request("json", "PUT", "/v1/agent/service/register", {}, nonsense.json_bytes(document)).wire(TOKEN)
        status, _, _ = connection.ask(wire, LONGEST)
        seen.sent["flood"] += 1
        refused += status == 507
        if refused >= 20:
            break
    seen.full += refused
    if not refused:
        seen.complaints.append("everything was taken: the registry has no end")
    for path in ("/v1/agent/services", "/eureka/apps", "/v1/health/service/flood", "/v1/health/state/any"):
        judge(connection, Request("all of it", "GET", path), TOKEN, seen)
    connection.close()


def measure(registry: Registry, seen: Seen, over: threading.Event) -> None:
    most, stall = 0.0, 0.0
    with (registry.folder / "page").open("wb", buffering=0) as page:
        while True:
            most = max(most, processes.memory_mib([registry.pid]))
            began = time.monotonic()
            page.write(b"x" * 4096)
            os.fsync(page.fileno())
            if over.wait(0.1):
                break
            stall = max(stall, time.monotonic() - began - 0.1)
    seen.peaks.append(most)
    seen.stalls.append(stall)


class Keeper:
    """A service that behaves: it beats, is found through each face, and somebody watches it."""

    def __init__(self, registry: Registry, seen: Seen, over: threading.Event) -> None:
        self.registry, self.seen, self.over = registry, seen, over
        self.changed_at: dict[int, float] = {}
        self.served: list[float] = []
        self.told: list[float] = []

    def register(self, port: int = 9_000) -> None:
        check = {"TTL": "10s", "Status": "passing"}
        document = {"Name": "keeper", "Address": "127.0.0.1", "Port": port, "Check": check}
        self.expect("PUT", "/v1/agent/service/register", document)
        lease = {"instanceId": "k", "app": "KEPT", "hostName": "127.0.0.1", "dataCenterInfo": {"name": "MyOwn"}}
        self.expect("POST", "/eureka/apps/KEPT", {"instance": {**lease, "port": {"$": port}}}, 204)

    def expect(self, method: str, path: str, document: object = None, wanted: int = 200) -> bytes:
        began = time.monotonic()
        try:
            status, _, body = self.registry.ask(method, path, document)
        except OSError as error:
            if self.registry.lives():
                self.seen.complaints.append(f"a service was not answered: {method} {path}: {error}")
            return b""
        took = time.monotonic() - began
        self.served.append(took)
        self.seen.served.append(took)
        if status != wanted:
            self.seen.complaints.append(f"a service was answered {status}: {method} {path}: {body[:200]!r}")
        return body

    def beat(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
            resolver.settimeout(LONGEST)
            while not self.over.wait(0.05) and self.registry.lives():
                self.expect("PUT", "/v1/agent/check/pass/service:keeper")
                if self.expect("GET", "/v1/health/service/keeper?passing").count(b'"keeper"') < 2:
                    self.seen.complaints.append("the service that beats was not found")
                self.expect("PUT", "/eureka/apps/KEPT/k")
                resolver.sendto(dns_question("keeper.service.consul"), ("127.0.0.1", self.registry.dns))
                try:
                    if dns_answers(resolver.recv(2_000)) != 1:
                        self.seen.complaints.append("the service that beats has no address")
                except OSError as error:
                    self.seen.complaints.append(f"the resolver does not answer: {error}")

    def change(self) -> None:
        """Another port each half second, so that there is something to hear of."""
        port = 9_000
        while not self.over.wait(0.5) and self.registry.lives():
            port += 1
            self.changed_at[port] = time.monotonic()
            self.register(port)

    def watch(self) -> None:
        index, known = 0, 0
        while not self.over.is_set() and self.registry.lives():
            path = f"/v1/catalog/service/keeper?index={index}&wait=1s"
            try:
                status, index, body = self.registry.ask("GET", path)
            except OSError as error:
                self.seen.complaints.append(f"a watch was not answered: {error}")
                return
            ports = checks.ports_of(body) if status == 200 else []
            if len(ports) != 1:
                self.seen.complaints.append(f"a watch saw {status}, {ports}")
            elif ports[0] != known and ports[0] in self.changed_at:
                known = ports[0]
                self.told.append(time.monotonic() - self.changed_at[known])
                self.seen.told.append(self.told[-1])


def remove_all(registry: Registry) -> None:
    """Everything but the service that behaves."""
    connection = Connection(registry.port)

    def remove(method: str, path: str, body: bytes = b"") -> None:
        connection.ask(Request("", method, path, {}, body).wire(TOKEN), LONGEST)

    for name in registry.told("/v1/agent/services"):
        if name not in ("keeper", "k"):
            remove("PUT", f"/v1/agent/service/deregister/{quote(name, safe='')}")
    for app in registry.told("/eureka/apps")["applications"]["application"]:
        for one in app["instance"]:
            if app["name"] not in ("KEPT", "KEEPER"):
                places = [quote(part, safe="") for part in (app["name"], one["instanceId"])]
                remove("DELETE", "/eureka/apps/" + "/".join(places))
    for node in registry.told("/v1/catalog/nodes"):
        if node["Node"] != "pinnace":
            remove("PUT", "/v1/catalog/deregister", nonsense.json_bytes({"Node": node["Node"]}))
    connection.close()
    left = [name for name in registry.told("/v1/catalog/services") if name not in ("consul", "keeper", "kept")]
    if left:
        raise SoakError(f"what was removed is still there: {left}")


def settle(registry: Registry, number: int, seen: Seen) -> None:
    """Nothing of a round is left in the hub when everybody has gone."""
    until(lambda: registry.descriptors() <= REST_DESCRIPTORS, "the hub lets connections go", REST_SOON, 0.1)
    seen.rests.append(processes.memory_mib([registry.pid]))
    seen.complaints += checks.at_most(f"round {number}: after it the hub holds", seen.rests[-1], REST_WITHIN, "MiB")


def kill(registry: Registry, keeper: Keeper, seen: Seen) -> None:
    """What was acknowledged outlives it, and the index does not go back."""
    _, before, _ = registry.ask("GET", "/v1/catalog/service/keeper")
    registry.kill()
    registry.start()
    seen.kills += 1
    _, after, body = registry.ask("GET", "/v1/catalog/service/keeper")
    seen.complaints += checks.goes_on(before, after)
    if len(checks.ports_of(body)) != 1:
        seen.complaints.append("what was acknowledged is not there after a kill")
    keeper.expect("PUT", "/eureka/apps/KEPT/k")
