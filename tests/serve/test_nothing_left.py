"""Nothing is left behind: a family ends with its guard, and guard and service with whoever started them."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import is_gone, lives, marked
from waiting import until

# It leaves its session and is forked twice, as a daemon does, and says its number.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    daemon = os.fork()
    if daemon == 0:
        time.sleep(1000)
    print(daemon, flush=True)
    os._exit(0)
os.wait()
"""
# Starts a guard as a supervisor does, with the reading end of a pipe that it keeps open, and says the guard's number.
SUPERVISOR = """
import os, subprocess, sys, time
reading, writing = os.pipe()
guard = subprocess.Popen(
    sys.argv[1:], env=os.environ | {"PINNACE_LIFETIME_FD": str(reading)}, pass_fds=[reading], start_new_session=True
)
print(guard.pid, flush=True)
time.sleep(1000)
"""


# An application that leaves a child and a daemon behind.
LITTER = """
import subprocess
subprocess.Popen(["sleep", "1000"])
subprocess.Popen(["setsid", "-f", "sleep", "1000"])
"""
ROUNDS = 12


@pytest.fixture
def numbers() -> Iterator[list[int]]:
    """Processes that must not outlive a test, also one that fails."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if lives(pid):
            os.kill(pid, signal.SIGKILL)


def guard(binary: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, "guard", "--", *command], capture_output=True, text=True, timeout=30, check=False)


def test_it_ends_as_its_program_ends(binary: Path) -> None:
    assert guard(binary, "sh", "-c", "exit 7").returncode == 7
    assert guard(binary, "sh", "-c", "kill -TERM $$").returncode == 143
    assert guard(binary, "echo", "spoken").stdout == "spoken\n"


def test_a_program_that_cannot_be_run_is_told_with_the_status_of_a_shell(binary: Path, tmp_path: Path) -> None:
    absent = guard(binary, "no-such-program-anywhere")
    assert absent.returncode == 127 and "no-such-program-anywhere" in absent.stderr, absent
    absent = guard(binary, str(tmp_path / "nothing"))
    assert absent.returncode == 127 and "nothing" in absent.stderr, absent
    (tmp_path / "text").write_text("no program\n")
    refused = guard(binary, str(tmp_path / "text"))
    assert refused.returncode == 126 and "ermission denied" in refused.stderr, refused


def test_a_daemon_that_the_program_leaves_behind_ends_with_it(binary: Path, numbers: list[int]) -> None:
    ended = guard(binary, sys.executable, "-c", DAEMON)
    daemon = int(ended.stdout)
    numbers.append(daemon)
    assert ended.returncode == 0 and not lives(daemon)


def test_a_supervisor_that_is_killed_takes_guard_program_and_daemon_along_within_a_second(
    binary: Path, numbers: list[int]
) -> None:
    program = DAEMON + "\nprint(os.getpid(), flush=True)\ntime.sleep(1000)"
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, binary, "guard", "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        assert supervisor.stdout is not None
        numbers.append(supervisor.pid)
        numbers.extend(int(supervisor.stdout.readline()) for _ in range(3))
        assert all(lives(pid) for pid in numbers)
        supervisor.kill()
        killed = time.monotonic()
        until(lambda: not any(lives(pid) for pid in numbers), "no process is left")
        # A second is what is promised; five times that is what a busy machine may take.
        assert time.monotonic() - killed < 5


def test_a_guard_that_is_killed_takes_its_program_along(binary: Path, numbers: list[int]) -> None:
    command = [str(binary), "guard", "--", "sh", "-c", "echo $$; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        numbers.append(int(process.stdout.readline()))
        process.kill()
        until(lambda: not lives(numbers[0]), "the program is gone")


def test_sigterm_is_handed_on_and_one_that_ignores_it_is_killed(binary: Path, numbers: list[int]) -> None:
    stubborn = "trap '' TERM; echo $$; while :; do sleep 1000; done"
    command = [str(binary), "guard", "--grace", "300ms", "--", "sh", "-c", stubborn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        numbers.append(int(process.stdout.readline()))
        process.terminate()
        assert process.wait(10) == 137
        assert not lives(numbers[0])
    polite = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"
    command = [str(binary), "guard", "--grace", "20s", "--", "sh", "-c", polite]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(10) == 3


def test_what_it_adopts_does_not_stay_as_a_zombie(binary: Path, numbers: list[int]) -> None:
    # The grandchild outlives its parent, is adopted by the guard, and ends.
    script = "(sleep 0.05 & echo $!) ; echo $$; exec sleep 1000"
    command = [str(binary), "guard", "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        adopted, program = int(process.stdout.readline()), int(process.stdout.readline())
        numbers.append(program)
        until(lambda: not Path(f"/proc/{adopted}").exists(), "the adopted process is reaped")
        assert lives(program)
        process.terminate()
        process.wait(10)


def test_a_supervisor_that_is_killed_at_any_moment_takes_the_service_along_within_a_second(
    binary: Path, folder: Path
) -> None:
    (folder / "main.py").write_text(LITTER + (folder / "main.py").read_text())
    moments = random.Random(4711)
    for _ in range(ROUNDS):
        mark = f"MARK={uuid.uuid4().hex}"
        serve = [str(binary), "serve", "--port", "0", "--workers", "2", "--python", sys.executable]
        with subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, *serve],
            cwd=folder,
            env=os.environ | dict([mark.split("=")]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as supervisor:
            # The moment is what is tested here: from before the parent has read its arguments to after it answers.
            time.sleep(moments.uniform(0.03, 1.0))
            supervisor.kill()
        killed = time.monotonic()
        try:
            until(functools.partial(is_gone, mark), "no process is left")
            assert time.monotonic() - killed < 5
        finally:
            for pid in marked(mark):
                os.kill(pid, signal.SIGKILL)
