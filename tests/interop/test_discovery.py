"""One suite over all backends of pinnace-discovery: the memory of a process, the embedded registry by both of its
faces, HashiCorp's Consul and Spring Cloud's Eureka."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import agent
import pytest
import spring
from backends import ALL, LOSING, PRESENT, Backend, Server
from hub import Hub
from waiting import until


@pytest.fixture(params=ALL)
def backend(request: pytest.FixtureRequest, binary: Path, tmp_path: Path) -> Iterator[Backend]:
    name: str = request.param
    server: Server | None = None
    if name.startswith("embedded"):
        server = request.getfixturevalue("hub")
    elif name == "consul":
        server = request.getfixturevalue("consul_agent")
    elif name == "spring":
        server = request.getfixturevalue("spring_server")
    backend = Backend(binary, name, server)
    yield backend
    backend.end()


@pytest.fixture(params=LOSING)
def losing(request: pytest.FixtureRequest, binary: Path, tmp_path: Path) -> Iterator[Backend]:
    """A backend whose server belongs to one test."""
    name: str = request.param
    server: Server
    if name == "consul":
        server = agent.Agent(agent.built(binary), tmp_path / "agent.log")
    elif name == "spring":
        server = spring.Spring(spring.built(binary), "server", **PRESENT).started()
    else:
        server = Hub(binary, tmp_path)
    backend = Backend(binary, name, server)
    yield backend
    backend.end()
    server.kill()


def service_of(request: pytest.FixtureRequest) -> str:
    """A name that no other test has: some servers outlive a test."""
    return "".join(character if character.isalnum() else "-" for character in request.node.originalname)[-40:].strip(
        "-"
    )


def test_an_instance_is_seen_with_all_that_it_says_and_leaves_at_once(
    backend: Backend, request: pytest.FixtureRequest
) -> None:
    service = service_of(request)
    watcher, other = backend.shell(), backend.shell()
    watcher.follow(service)
    assert watcher.ids(service) == [], "it is known that there is none yet"
    other.register(
        service,
        "i-1",
        endpoint="http://127.0.0.1:4001",
        weight=7,
        tags=["canary", "eu"],
        meta={"zone": "a", "version": "2"},
    )
    other.is_told("i-1", "registered")
    (instance,) = watcher.sees(service, "i-1")["instances"]
    assert instance == {
        "id": "i-1",
        "endpoint": "http://127.0.0.1:4001",
        "weight": 7,
        "tags": ["canary", "eu"],
        "meta": {"zone": "a", "version": "2"},
    }
    other.register(service, "i-2", endpoint="http://[::1]:4002")
    assert watcher.sees(service, "i-1", "i-2")["instances"][1] == {
        "id": "i-2",
        "endpoint": "http://[::1]:4002",
        "weight": 1,
        "tags": [],
        "meta": {},
    }
    # The TTL is 10 s and more; an end does not wait for it.
    other.tell(end="i-1")
    other.is_told("i-1", "ended")
    watcher.sees(service, "i-2")
    other.tell(end="i-2")
    watcher.sees(service)


def test_an_instance_that_gives_no_sign_of_life_expires_and_one_that_does_stays(
    backend: Backend, request: pytest.FixtureRequest
) -> None:
    service = service_of(request)
    watcher, other = backend.shell(), backend.shell()
    watcher.follow(service)
    other.register(service, "lives", ttl_ms=1_500)
    other.register(service, "dies", ttl_ms=1_500)
    watcher.sees(service, "dies", "lives")
    other.tell(drop="dies")
    watcher.sees(service, "lives")
    # The one was followed for as long as the other took to expire, and never missed.
    seen = [[one["id"] for one in event["instances"]] for event in watcher.events if event.get("service") == service]
    assert all("lives" in ids for ids in seen[seen.index(["dies", "lives"]) :]), seen
    other.tell(end="lives")
    watcher.sees(service)


def test_instances_stay_known_while_their_registry_is_away_and_come_back_after_it_lost_everything(
    losing: Backend, request: pytest.FixtureRequest
) -> None:
    service = service_of(request)
    watcher, first, second = losing.shell(), losing.shell(), losing.shell()
    watcher.follow(service)
    first.register(service, "a", ttl_ms=3_000)
    second.register(service, "b", ttl_ms=3_000)
    watcher.sees(service, "a", "b")
    assert losing.server is not None
    before, seen = len(first.events), len(watcher.events)
    losing.server.kill()
    first.is_told("a", "not yet", before)
    told = first.last("lease", "a")
    assert told is not None and "127.0.0.1" in told["reason"], "it says whom it does not reach"
    assert watcher.ids(service) == ["a", "b"]
    # While neither of the two can register again, others do: the server knows those alone.
    for held in (first, second):
        held.process.send_signal(signal.SIGSTOP)
    losing.start_without_memory()
    for count, new in enumerate("cd", start=3):
        watcher.register(service, new)
        watcher.sees(service, *"abcd"[:count])
    assert losing.known_ids(service) == ["c", "d"]
    before = len(first.events)
    for held in (first, second):
        held.process.send_signal(signal.SIGCONT)
    first.is_told("a", "registered", before)
    until(lambda: losing.known_ids(service) == list("abcd"), lambda: f"all are there: {losing.known_ids(service)}")
    views = [event["instances"] for event in watcher.events[seen:] if event.get("service") == service]
    assert all({"a", "b"} <= {one["id"] for one in view} for view in views), views
    for shell, lease in ((first, "a"), (second, "b"), (watcher, "c"), (watcher, "d")):
        shell.tell(end=lease)
    watcher.sees(service)


def test_one_who_registers_where_nobody_is_yet_is_registered_when_somebody_is(
    losing: Backend, request: pytest.FixtureRequest
) -> None:
    service = service_of(request)
    assert losing.server is not None
    losing.server.kill()
    shell = losing.shell()
    shell.tell(follow=service)
    shell.register(service, "early")
    shell.is_told("early", "not yet")
    last = shell.last("service", service)
    assert last is not None and not last["known"], "nobody has said that there is none"
    losing.start_without_memory()
    shell.is_told("early", "registered")
    shell.sees(service, "early")


def test_a_token_that_may_not_register_is_told_why(hub: Hub, binary: Path) -> None:
    backend = Backend(binary, "embedded-eureka", hub)
    shell = backend.shell()
    try:
        shell.register("orders", "fine")
        shell.is_told("fine", "registered")
    finally:
        backend.end()
    for address in (f"eureka://orders:wrong@127.0.0.1:{hub.port}", f"consul://127.0.0.1:{hub.port}"):
        shell = type(shell)(binary, address, CONSUL_HTTP_TOKEN="wrong")
        try:
            shell.register("orders", "not")
            shell.is_told("not", "not yet")
            told = shell.last("lease", "not")
            assert told is not None and ("401" in told["reason"] or "403" in told["reason"]), told
        finally:
            shell.kill()
