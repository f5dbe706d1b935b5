"""A program that a test has started, and the lines that it writes."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from waiting import LONGEST_WAIT, until


class Program:
    """A running program. What it writes to both outputs is in `lines`, in the order in which it was read."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
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

    def wait_for(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line that matches, as soon as it is there; lines before the number `after` do not count."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(match for line in self.lines[after:] if (match := re.search(pattern, line)))
            return bool(found) or not self._reader.is_alive()

        until(look, lambda: f"a line like {pattern!r}; there are:\n{self.text}")
        assert found, f"ended without a line like {pattern!r}:\n{self.text}"
        return found[0]

    def says(self, pattern: str) -> bool:
        """Whether a line matches by now."""
        return any(re.search(pattern, line) for line in list(self.lines))

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its status once it has ended and all that it wrote is read."""
        try:
            code = self.process.wait(LONGEST_WAIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.text}") from None
        self._reader.join(LONGEST_WAIT)
        return code

    def end(self, number: int = signal.SIGTERM) -> int:
        self.tell(number)
        return self.wait()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LONGEST_WAIT)
