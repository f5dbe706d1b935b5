"""What happens around the start of a worker: imports that hang or end it, a change or a stop in between."""

from __future__ import annotations

import functools
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from served import Served
from waiting import until

Serve = Callable[..., Served]


def has_reloaded(served: Served, times: int) -> bool:
    return sum("reloaded in" in line for line in served.lines) == times


def prepend(folder: Path, code: str) -> None:
    main = folder / "main.py"
    main.write_text(f"{code}\n{main.read_text()}")


def test_an_import_that_hangs_is_ended_and_told(serve: Serve, folder: Path) -> None:
    prepend(folder, "import time; time.sleep(1000)")
    served = serve("--ready-timeout", "500ms")
    assert served.process.wait(20) == 8
    served.wait_for("the worker was not ready after 500ms")
    served.wait_for("hint: .*--ready-timeout")


def test_an_import_that_ends_the_process_is_told(serve: Serve, folder: Path) -> None:
    prepend(folder, "import os; os._exit(3)")
    served = serve()
    assert served.process.wait(20) == 8
    served.wait_for(r"the worker ended before it was ready \(exit code 3\)")


def test_a_stop_does_not_wait_for_an_import(serve: Serve, folder: Path) -> None:
    prepend(folder, "import time; print('importing', file=__import__('sys').stderr, flush=True); time.sleep(1000)")
    served = serve()
    served.wait_for("importing")
    assert served.end() == 0


def test_a_change_while_it_starts_is_not_forgotten(serve: Serve, folder: Path) -> None:
    gate = folder / "gate"
    prepend(
        folder,
        f"import pathlib, sys, time\nprint('importing', file=sys.stderr, flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n",
    )
    served = serve()
    served.wait_for("importing")
    # The interpreter has read the file; what is written now needs the reload.
    main = folder / "main.py"
    main.write_text(main.read_text().replace('VERSION = "one"', 'VERSION = "two"'))
    served.process.send_signal(signal.SIGHUP)
    gate.touch()
    served.wait_for("reloaded in")
    assert served.get()[1].startswith("two ")


def test_a_replacement_that_does_not_import_says_why_and_is_tried_again(serve: Serve, folder: Path) -> None:
    served = serve()
    served.get()
    main = folder / "main.py"
    good = main.read_text()
    main.write_text("import nothing_of_that_name\n")
    (worker,) = served.workers()
    os.kill(worker, signal.SIGKILL)
    served.wait_for(r"`main` cannot be imported: .*nothing_of_that_name")
    served.wait_for(r"worker \d+ ended \(`main` cannot be imported.*the next starts in \d+ ms")
    main.write_text(good)
    assert served.get()[0] == 200
    assert served.end() == 0


def test_what_a_killed_worker_had_started_ends_and_leaves_no_zombie(serve: Serve, folder: Path) -> None:
    prepend(
        folder,
        "import subprocess, sys\nchild = subprocess.Popen(['sleep', '1000'])\n"
        "print('started', child.pid, file=sys.stderr, flush=True)\n",
    )
    served = serve()
    child = int(served.wait_for(r"started (\d+)")[1])
    served.get()
    (worker,) = served.workers()
    os.kill(worker, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{child}").exists(), "what the worker had started is gone")
    served.get()
    assert served.end() == 0


def test_printed_lines_are_seen_at_once(serve: Serve, folder: Path) -> None:
    prepend(folder, "print('printed at import')\n")
    served = serve()
    served.get()
    served.wait_for("printed at import")
    assert served.end() == 0


# Of the new workers the first one answers, and the second one fails once that has begun a request.
ONE_ALONE = """
import pathlib, time
begun, first = pathlib.Path("begun"), pathlib.Path("first")
try:
    first.touch(exist_ok=False)
except FileExistsError:
    while not begun.exists():
        time.sleep(0.001)
    raise RuntimeError("there may be one of me") from None
answer = app
async def app(scope, receive, send):
    if scope["type"] == "http":
        begun.touch()
    await answer(scope, receive, send)
"""


def test_a_reload_that_is_given_up_halfway_finishes_what_its_first_worker_has_begun(serve: Serve, folder: Path) -> None:
    served = serve("--workers", "2")
    # Both have the old code before there is any other.
    until(lambda: re.search(r"^pinnace_workers\b.* 2$", served.get("/-/metrics")[1], re.M) is not None, "two workers")
    main = folder / "main.py"
    main.write_text(main.read_text().replace('VERSION = "one"', 'VERSION = "halfway"') + ONE_ALONE)
    served.process.send_signal(signal.SIGHUP)
    answers = []
    while not served.says("not reloaded, the old workers go on"):
        answers.append(served.get("/slow?0.5"))
    assert {status for status, _ in answers} == {200}, served.text
    assert any(text.startswith("halfway ") for _, text in answers), served.text
    served.wait_for("there may be one of me")
    until(lambda: len(served.workers()) == 2, "what was given up ends")
    assert served.get()[1].startswith("one ")
    assert served.end() == 0


def test_a_reload_does_not_wait_for_older_generations_that_still_drain(serve: Serve) -> None:
    served = serve()
    held = []
    for number in range(1, 5):
        # An idle connection keeps its worker for the linger.
        connection = served.connect()
        connection.request("GET", "/")
        connection.getresponse().read()
        held.append(connection)
        served.process.send_signal(signal.SIGHUP)
        until(functools.partial(has_reloaded, served, number), f"reload {number}")
        # How many drain depends on how fast the machine is; the last one surely does.
        assert len(served.workers()) > 1, "the reload has not waited for the one that drains"
    for connection in held:
        connection.close()
    until(lambda: len(served.workers()) == 1, "those that have nothing to answer any more end")
    assert served.end() == 0
