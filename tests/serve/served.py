"""A running `pinnace serve`, as a test holds it."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

LONGEST_WAIT = 30.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition, not for time."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


class Served:
    """A running `pinnace serve`."""

    def __init__(self, binary: Path, folder: Path, *arguments: str) -> None:
        command = [str(binary), "serve", "--python", sys.executable, "--port", "0", "--log-format", "text", *arguments]
        self.folder = folder
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches, as soon as it is there."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(match for line in list(self.lines) if (match := re.search(pattern, line)))
            return bool(found) or self.process.poll() is not None

        until(look, f"a line like {pattern!r}; there are:\n{self.text}")
        assert found, f"ended without a line like {pattern!r}:\n{self.text}"
        return found[0]

    @property
    def port(self) -> int:
        return int(self.wait_for(r"answers on http://127\.0\.0\.1:(\d+)")[1])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_WAIT)

    def get(self, path: str = "/") -> tuple[int, str]:
        connection = self.connect()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def workers(self) -> set[int]:
        """The workers that live, by their process ids."""
        return {pid for pid in children(self.process.pid) if b"pinnace._worker" in command_line(pid)}

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(LONGEST_WAIT)


def children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat[stat.rindex(")") + 2 :].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
