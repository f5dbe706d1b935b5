"""What ends by itself, or is killed, comes back; whatever else runs goes on."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harbour import Harbour, Up
from load import Load
from processes import command_line
from waiting import until


@pytest.fixture(scope="module")
def up(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One system for all tests of this file; each test leaves it whole."""
    harbour = Harbour(tmp_path_factory.mktemp("harbour"))
    harbour.service("front", route="/")
    harbour.service("back", workers=2)
    harbour.program("program", route="/program")
    up = Up(binary, harbour.folder)
    try:
        yield up.settled()
        assert up.end() == 0
    finally:
        up.close()


def is_new(up: Up, name: str, former: int) -> bool:
    service = up.service(name)
    return service["state"] == "ready" and [one["pid"] for one in service["instances"]] not in ([former], [])


def test_a_program_that_falls_is_shown_with_its_last_lines_and_comes_back_later_each_time(up: Up) -> None:
    pauses = []
    for fall in (1, 2, 3):
        leader, seen = up.leader("program"), len(up.lines)
        connection = up.connect("program")
        connection.request("GET", "/crash")
        with pytest.raises(OSError):
            connection.getresponse()
        connection.close()
        told = up.wait_for(r"program +\| pinnace: ended with exit code 3: (.*); started again in (\w+)", seen)
        assert told[1] == "RuntimeError: overboard"
        pauses.append(told[2])
        assert any(re.search(r"program-1 +\| about to fall", line) for line in up.lines[seen:])
        until(functools.partial(is_new, up, "program", leader), "it is back")
        assert up.service("program")["restarts"] == fall
    assert pauses == ["100ms", "200ms", "400ms"]
    assert up.get("/program")[0] == 200


def test_a_killed_worker_is_replaced_while_others_answer(up: Up) -> None:
    leader, restarts = up.leader("back"), up.service("back")["restarts"]
    (victim, *_) = workers = up.workers("back")
    os.kill(victim, signal.SIGKILL)
    up.wait_for(rf"back +\| pinnace: worker {victim} ended \(signal 9 .*started again in")
    until(lambda: len(up.workers("back")) == 2 and victim not in up.workers("back"), "two workers again")
    assert up.leader("back") == leader and up.service("back")["restarts"] == restarts + 1
    assert workers - {victim} <= up.workers("back"), "the other one was not touched"


def test_a_killed_leader_of_a_service_takes_its_workers_along_and_comes_back(up: Up) -> None:
    leader, workers = up.leader("front"), up.workers("front")
    os.kill(leader, signal.SIGKILL)
    # The socket is the system's own: a request that comes meanwhile waits in its queue.
    assert up.get("/")[0] == 200
    up.wait_for(r"front +\| pinnace: ended with signal 9 \(SIGKILL\); started again in")
    assert is_new(up, "front", leader) and not workers & up.left()


def test_a_killed_hub_comes_back_with_what_it_knew_and_disturbs_nobody(up: Up) -> None:
    def registered() -> list[str]:
        return sorted(one["registration"]["id"] for one in up.hub("/api/v1/registry/services/front")["instances"])

    until(lambda: registered() == ["front-1"], "the registry knows it")
    before = up.hub("/api/v1/system")
    assert not before["stale"]
    leader, untouched = up.leader("hub"), {name: up.leader(name) for name in ("gateway", "front", "back", "program")}
    with Load(up, "front", "/") as load:
        load.until_answered_by("one")
        for _ in range(2):
            leader = up.leader("hub")
            os.kill(leader, signal.SIGKILL)
            # Its socket stays: whoever asks meanwhile is answered by the next one.
            assert registered() == ["front-1"]
            until(functools.partial(is_new, up, "hub", leader), "it is back")
        load.until_answered_by("one")
    until(lambda: not up.hub("/api/v1/system")["stale"], "it hears of the system again")
    assert up.hub("/api/v1/system")["system"]["started_at"] == before["system"]["started_at"]
    assert {name: up.leader(name) for name in untouched} == untouched


def test_a_killed_gateway_comes_back_at_the_same_address_and_services_go_on(up: Up) -> None:
    leader, url, workers = up.leader("gateway"), up.service("gateway")["url"], up.workers("front")
    os.kill(leader, signal.SIGKILL)
    # A connection that comes meanwhile waits in the queue of the socket, which is the system's own.
    assert up.get("/")[0] == 200
    until(lambda: is_new(up, "gateway", leader), "it is back")
    assert up.service("gateway")["url"] == url and up.workers("front") == workers


def test_a_program_that_is_down_is_answered_for_with_problems(up: Up) -> None:
    """502 where the answer broke off, 503 while nothing listens, both with the request's id."""
    identity = "f00dfeed0000000000000000000000aa"
    leader = up.leader("program")
    broken = up.request("/program/../crash", method="POST", headers={"X-Request-Id": identity})
    assert broken.status == 400, "no way around the prefix"
    # Stopped, it accepts nothing and refuses nothing; killed, it breaks off what was begun.
    (program,) = (pid for pid in up.left() if is_program(pid))
    os.kill(program, signal.SIGSTOP)
    connection = up.connect()
    connection.request("POST", "/program", body=b"x", headers={"X-Request-Id": identity})
    address = urlsplit(up.service("program")["url"])
    until(lambda: is_connected(address.port), "the gateway has sent it on")
    os.kill(program, signal.SIGKILL)
    response = connection.getresponse()
    problem = json.loads(response.read())
    connection.close()
    assert (response.status, response.getheader("content-type")) == (502, "application/problem+json"), problem
    assert problem["request_id"] == response.getheader("x-request-id") == identity and "program" in problem["detail"]
    answered = []
    while not is_new(up, "program", leader):
        answer = up.request("/program")
        answered.append(answer.status)
        if answer.status != 200:
            assert answer.headers["retry-after"] == "1", "a client may try again"
    assert set(answered) <= {200, 502, 503}
    assert up.get("/program")[0] == 200


def is_program(pid: int) -> bool:
    """Whether it is the program itself and not its guard."""
    return command_line(pid).split(b"\0")[1:2] == [b"program.py"]


def is_connected(port: int | None) -> bool:
    """Whether someone has a connection to this port on loopback."""
    wanted = f"0100007F:{port:04X}"
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[2] == wanted and row[3] == "01" for row in rows)


def test_a_service_that_crashes_again_and_again_is_answered_for_with_503(binary: Path, harbour: Harbour) -> None:
    """While it pauses for long, nobody is kept waiting."""
    harbour.program("program", route="/")
    up = Up(binary, harbour.folder)
    try:
        up.settled()
        deadline = time.monotonic() + 30
        while up.get("/")[0] != 503:
            assert time.monotonic() < deadline
            for pid in up.left():
                if is_program(pid):
                    os.kill(pid, signal.SIGKILL)
        assert up.end() == 0, up.text
    finally:
        up.close()
