"""`breakpoint()`: with one worker and a terminal it talks to whoever sits there, elsewhere it says why it does not."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from served import Served
from waiting import LONGEST_WAIT, until

Serve = Callable[..., Served]

BREAKS = """
answer = app
async def app(scope, receive, send):
    if scope["path"] == "/break":
        secret = "forty-two"
        breakpoint()
    await answer(scope, receive, send)
"""


class Terminal:
    """A person at a terminal in which `pinnace serve` runs."""

    def __init__(self, binary: Path, folder: Path, *arguments: str) -> None:
        self.folder = folder
        command = [str(binary), "serve", "--python", sys.executable, "--port", "0", "--log-format", "text", *arguments]
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONBREAKPOINT"}
            os.execve(command[0], command, {**environment, "TERM": "dumb", "NO_COLOR": "1"})
        self.text = ""
        self._ended: int | None = None

    def wait_for(self, wanted: str) -> re.Match[str]:
        found: list[re.Match[str]] = []

        def look() -> bool:
            self._read()
            found.extend(re.finditer(wanted, self.text))
            return bool(found)

        until(look, lambda: f"{wanted!r} in:\n{self.text}")
        return found[-1]

    def _read(self) -> None:
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode(errors="replace").replace("\r\n", "\n")

    def write(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait(self) -> int:
        def look() -> bool:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended = os.waitstatus_to_exitcode(status)
            return self._ended is not None

        until(look, lambda: f"its end:\n{self.text}")
        assert self._ended is not None
        return self._ended

    def close(self) -> None:
        if self._ended is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._descriptor)


@pytest.fixture
def terminal(binary: Path, folder: Path) -> Iterator[Callable[..., Terminal]]:
    main = folder / "main.py"
    main.write_text(main.read_text() + BREAKS)
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(binary, folder, *arguments))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def curl(port: int, path: str, answers: list[str]) -> threading.Thread:
    def ask() -> None:
        command = ["curl", "--silent", "--max-time", str(LONGEST_WAIT), f"http://127.0.0.1:{port}{path}"]
        answers.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.parametrize("arguments", [(), ("--reload",)])
def test_one_worker_at_a_terminal_talks_to_whoever_sits_there(
    terminal: Callable[..., Terminal], arguments: tuple[str, ...]
) -> None:
    # The worker may be blocked for half a second, and a person takes longer.
    served = terminal("--worker-timeout", "500ms", *arguments)
    port = int(served.wait_for(r"answers on http://127\.0\.0\.1:(\d+)")[1])
    answers: list[str] = []
    asking = curl(port, "/break", answers)
    served.wait_for(r"\(Pdb\) $")
    served.write("secret\n")
    served.wait_for(r"'forty-two'\n\(Pdb\) $")
    served.wait_for(r"is left alone from now on, however long it is silent: breakpoint\(\) at \S+main\.py:\d+")
    # Longer than the worker timeout, and the debugger is still the one that it was.
    served.write("import time; time.sleep(1.5)\n")
    served.write("secret.upper()\n")
    served.wait_for(r"'FORTY-TWO'\n\(Pdb\) $")
    served.write("continue\n")
    asking.join()
    assert answers and answers[0].startswith("one "), served.text
    assert "is replaced" not in served.text
    served.write("\x03")
    served.wait_for("finishing what was begun")
    assert served.wait() == 0


def test_ctrl_c_ends_it_also_while_the_debugger_waits(terminal: Callable[..., Terminal]) -> None:
    served = terminal()
    port = int(served.wait_for(r"answers on http://127\.0\.0\.1:(\d+)")[1])
    answers: list[str] = []
    asking = curl(port, "/break", answers)
    served.wait_for(r"\(Pdb\) $")
    served.write("\x03")
    served.wait_for("a second Ctrl-C ends it at once")
    served.write("\x03")
    assert served.wait() == 0
    asking.join()


def test_without_a_terminal_a_breakpoint_is_passed_over_and_told(serve: Serve, folder: Path) -> None:
    main = folder / "main.py"
    main.write_text(main.read_text() + BREAKS)
    served = serve()
    status, text = served.get("/break")
    assert status == 200 and text.startswith("one ")
    served.wait_for(r"breakpoint\(\) at \S+main\.py:\d+ is passed over: this service has no terminal.*debugpy")
    assert served.get("/break")[0] == 200
    assert sum("is passed over" in line for line in served.lines) == 1, "it is told once"
    assert served.end() == 0


def test_several_workers_pass_a_breakpoint_over_and_say_why(terminal: Callable[..., Terminal]) -> None:
    served = terminal("--workers", "2")
    port = int(served.wait_for(r"answers on http://127\.0\.0\.1:(\d+)")[1])
    answers: list[str] = []
    curl(port, "/break", answers).join()
    assert answers[0].startswith("one ")
    served.wait_for(r"is passed over: several workers cannot share a terminal: start with `--workers 1`")
    served.write("\x03")
    assert served.wait() == 0


def test_an_editors_debugger_keeps_its_worker(serve: Serve, folder: Path) -> None:
    # As debugpy does when an editor attaches: it is imported, and holds the process for as long as a person likes.
    (folder / "debugpy.py").write_text("import time\n\ndef breakpoint():\n    time.sleep(2)\n")
    main = folder / "main.py"
    main.write_text(main.read_text() + BREAKS.replace("breakpoint()", "import debugpy; debugpy.breakpoint()"))
    served = serve("--worker-timeout", "300ms")
    assert served.get()[0] == 200
    before = served.workers()
    assert served.get("/break")[0] == 200
    served.wait_for("is left alone from now on, however long it is silent: `debugpy` was imported")
    assert served.workers() == before
    assert served.end() == 0
