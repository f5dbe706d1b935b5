"""How a system ends: in order when it is told, at once when it is told twice, and wholly whatever happens to it."""

from __future__ import annotations

import functools
import random
import signal
import time
from collections.abc import Callable

import pytest
from harbour import Harbour, Up
from processes import command_line, is_gone, lives
from waiting import until

Start = Callable[..., Up]

# An application that leaves a child and a daemon behind.
LITTER = """
import subprocess
subprocess.Popen(["sleep", "1000"])
subprocess.Popen(["setsid", "-f", "sleep", "1000"])
"""
# So does a migration, which takes its time besides.
MIGRATION = f"{LITTER}\nimport time\ntime.sleep(0.3)\n"
ROUNDS = 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_and_finishes_what_was_begun(harbour: Harbour, start: Start, number: int) -> None:
    harbour.service("front", route="/", calls=["middle"])
    harbour.service("middle", calls=["back"])
    harbour.service("back")
    up = start().settled()
    # A request that has gone through all of them when the end is told.
    connection = up.connect()
    connection.request("GET", "/call?MIDDLE_URL/call?BACK_URL/slow")
    until((harbour.folder / "back.begun").exists, "the request has arrived")
    up.tell(number)
    up.wait_for("stopping; a second Ctrl-C ends it at once")
    (harbour.folder / "go").touch()
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"slowly")
    connection.close()
    assert up.wait() == 0, up.text
    assert (harbour.folder / "ends").read_text().split() == ["front", "middle", "back"], "nobody misses whom it calls"
    assert not (harbour.folder / ".pinnace/run/up.json").exists()
    assert not up.left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_twice_it_ends_at_once(harbour: Harbour, start: Start, number: int) -> None:
    harbour.service("front", stop_timeout="60s")
    harbour.program("stubborn", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", port=False)
    up = start().settled()
    connection = up.connect("front")
    connection.request("GET", "/slow")
    until((harbour.folder / "front.begun").exists, "the request has begun")
    up.tell(number)
    up.wait_for("a second Ctrl-C ends it at once")
    up.tell(number)
    told = time.monotonic()
    up.wait()
    assert time.monotonic() - told < 5 and not up.left()
    connection.close()


def test_an_end_before_it_has_started_is_one_too(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("front", database={"engine": "sqlite", "migrate": "python migrate.py"})
    (folder / "migrate.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(1000)\n")
    harbour.program("deaf", "sleep", "1000")
    up = start()
    up.wait_for("bringing the database of front up to date")
    assert up.end() == 0
    assert not up.left()


@pytest.fixture
def littering(harbour: Harbour) -> Harbour:
    """Services, a program and a migration that leave processes behind, daemons among them."""
    folder = harbour.service(
        "front", route="/", calls=["back"], database={"engine": "sqlite", "migrate": "python migrate.py"}
    )
    (folder / "migrate.py").write_text(MIGRATION)
    (folder / "main.py").write_text(LITTER + (folder / "main.py").read_text())
    harbour.service("back", workers=2)
    harbour.program("program", "sh", "-c", "setsid -f sleep 1000; sleep 1000 & exec sleep 1000", port=False)
    return harbour


def test_killed_at_any_moment_it_leaves_nothing_after_a_second_and_starts_again(
    littering: Harbour, start: Start
) -> None:
    moments = random.Random(4711)
    for _ in range(ROUNDS):
        up = start()
        # The moment is what is tested here: from before it has read its arguments to after all is ready.
        time.sleep(moments.uniform(0.02, 1.5))
        up.tell(signal.SIGKILL)
        killed = time.monotonic()
        until(functools.partial(is_gone, up.mark), "nothing is left")
        # A second is what is promised; five times that is what a busy machine may take.
        assert time.monotonic() - killed < 5
        assert up.wait() == -signal.SIGKILL
    up = start().settled()
    assert up.get("/")[0] == 200
    assert up.end() == 0 and not up.left()


def test_what_services_leave_behind_ends_with_an_orderly_end(littering: Harbour, start: Start) -> None:
    up = start().settled()
    sleepers = {pid for pid in up.left() if is_sleep(pid)}
    assert len(sleepers) >= 5, "of the application, of the program"
    assert up.end() == 0
    assert not any(lives(pid) for pid in sleepers)


def is_sleep(pid: int) -> bool:
    return command_line(pid).split(b"\0")[0].endswith(b"sleep")


def test_a_folder_that_was_killed_tells_that_nothing_runs(harbour: Harbour, start: Start) -> None:
    harbour.service("front")
    up = start().settled()
    up.tell(signal.SIGKILL)
    up.wait()
    until(lambda: not up.left(), "nothing is left")
    assert up.command("ps").returncode == 10
    again = start().settled()
    assert again.end() == 0
