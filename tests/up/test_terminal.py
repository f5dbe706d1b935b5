"""What a person at a terminal sees and types."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harbour import Harbour, inherited
from processes import marked
from waiting import LONGEST_WAIT, until


class Terminal:
    """A terminal in which `pinnace up` runs in the foreground."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.shown = ""
        # The path of a socket is short.
        self.runtime = Path(tempfile.mkdtemp(prefix="up-"))
        own, self.mark = inherited(self.runtime)
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            arguments = ["up", "--gateway", "127.0.0.1:0", "--hub", "127.0.0.1:0"]
            os.execve(binary, [str(binary), *arguments], own | {"TERM": "xterm-256color"})
        os.set_blocking(self.screen, False)
        self.status: int | None = None

    def shows(self, pattern: str) -> bool:
        # There may be nothing to read yet, or nobody left to write.
        with contextlib.suppress(OSError):
            self.shown += os.read(self.screen, 65536).decode(errors="replace")
        return re.search(pattern, self.shown) is not None

    def wait_for(self, pattern: str) -> None:
        until(lambda: self.shows(pattern), lambda: f"{pattern!r} in\n{self.shown}")

    def type(self, text: bytes) -> None:
        os.write(self.screen, text)

    def close(self) -> None:
        os.close(self.screen)
        self.screen = -1

    def has_ended(self) -> bool:
        if self.screen >= 0:
            self.shows("")
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def wait(self) -> int:
        until(self.has_ended, lambda: f"the end of\n{self.shown}")
        assert self.status is not None
        return self.status


@pytest.fixture
def terminal(binary: Path, harbour: Harbour) -> Iterator[Terminal]:
    harbour.service("front", route="/")
    terminal = Terminal(binary, harbour.folder)
    yield terminal
    if not terminal.has_ended():
        os.kill(terminal.pid, signal.SIGKILL)
    until(lambda: not marked(terminal.mark), "nothing is left")
    shutil.rmtree(terminal.runtime)


def test_ctrl_c_typed_at_a_coloured_terminal_ends_it_in_order(terminal: Terminal) -> None:
    terminal.wait_for(r"hub +http://")
    assert "\x1b[" in terminal.shown, "there is colour"
    terminal.type(b"\x03")
    terminal.wait_for("stopping; a second Ctrl-C ends it at once")
    assert terminal.wait() == 0, terminal.shown


def test_a_terminal_that_is_closed_ends_it_too(terminal: Terminal) -> None:
    terminal.wait_for(r"hub +http://")
    terminal.close()
    closed = time.monotonic()
    terminal.wait()
    assert time.monotonic() - closed < LONGEST_WAIT
    assert not marked(terminal.mark)
