"""`pinnace serve --reload`: whoever edits the application sees the new code, without a failed request."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path

from served import Served
from waiting import until

Serve = Callable[..., Served]


def edit(served: Served, old: str, new: str, name: str = "main.py") -> None:
    """Saves as an editor does: a new file takes the place of the old one at once."""
    file = served.folder / name
    text = file.read_text()
    assert old in text and len(old) != len(new), "Python tells files of one size within a second from each other badly"
    beside = file.with_name(file.name + "~")
    beside.write_text(text.replace(old, new))
    beside.rename(file)


def answers(served: Served, version: str) -> bool:
    return served.get()[1].startswith(f"{version} ")


def test_a_saved_file_takes_over_without_a_failed_request(serve: Serve) -> None:
    served = serve("--reload", "--workers", "2")
    assert served.get()[1].startswith("one ")
    failures: list[object] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                status, text = served.get()
                if status != 200:
                    failures.append((status, text))
            except (OSError, HTTPException) as error:
                failures.append(error)

    client = threading.Thread(target=ask)
    client.start()
    try:
        for old, new in (("one", "second"), ("second", "the-third")):
            edit(served, f'"{old}"', f'"{new}"')
            until(partial(answers, served, new), "the new code answers")
    finally:
        stop.set()
        client.join()
    assert failures == []
    assert served.wait_for(r"main\.py changed: reloading")
    assert served.end() == 0


def test_a_mistake_keeps_the_old_code_and_is_shown(serve: Serve) -> None:
    served = serve("--reload")
    assert served.get()[1].startswith("one ")
    edit(served, "import ", "import nothing_of_this_name\nimport ")
    served.wait_for("not reloaded, the old workers go on")
    assert served.wait_for("No module named 'nothing_of_this_name'")
    assert served.get()[1].startswith("one ")
    edit(served, "import nothing_of_this_name\n", "")
    served.wait_for(r"reloaded in \d+ ms")
    assert served.get()[0] == 200


def test_an_application_that_does_not_start_is_waited_for(serve: Serve, folder: Path) -> None:
    (folder / "main.py").write_text("import nothing_of_this_name\n")
    served = serve("--reload")
    served.wait_for("No module named 'nothing_of_this_name'")
    served.wait_for("waiting for a change of its files")
    (folder / "main.py").write_text("def app(environ, start):\n    start('200 OK', [])\n    return [b'ahoy']\n")
    assert served.get() == (200, "ahoy")
    assert served.end() == 0


def test_one_that_hangs_at_its_import_is_given_up_for_the_next_edit(serve: Serve, folder: Path) -> None:
    (folder / "main.py").write_text("import time\nprint('hangs', flush=True)\ntime.sleep(600)\n")
    served = serve("--reload")
    served.wait_for("hangs")
    (folder / "main.py").write_text("def app(environ, start):\n    start('200 OK', [])\n    return [b'ahoy']\n")
    assert served.get() == (200, "ahoy")
    until(lambda: len(served.workers()) == 1, "the one that hung is gone")


def test_without_it_a_change_is_taken_over_by_a_signal_alone(serve: Serve) -> None:
    served = serve()
    assert served.get()[1].startswith("one ")
    edit(served, '"one"', '"second"')
    assert served.get()[1].startswith("one ")
    os.kill(served.process.pid, signal.SIGHUP)
    until(partial(answers, served, "second"), "the new code answers")
