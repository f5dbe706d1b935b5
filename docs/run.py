"""Runs the handbook: each command of its chapters, in order, in an empty folder, and compares what the chapters show.

    PINNACE_BIN=…/pinnace …/docs-env/bin/python docs/run.py --wheels FOLDER [CHAPTER…]

Run by the interpreter of the prepared environment; `scripts/test-docs.sh` prepares it. How a chapter is written is in
`notation`. The ports 8000, 8080 and 7070 of the chapters become free ones, so that it does not matter what else runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import notation
from notation import Command, Environment, File, Next, Unreadable, pattern, plain, shows

DOCS = Path(__file__).resolve().parent
# The slowest first: two run at a time.
CHAPTERS = (
    "getting-started.md",
    "troubleshooting.md",
    "hosting/django.md",
    "system.md",
    "hosting/fastapi.md",
    "hosting/flask.md",
    "hosting/rust.md",
    "hosting/any-program.md",
    "hosting/from-gunicorn.md",
    "hosting/from-uvicorn.md",
    "hosting/from-granian.md",
    "discovery.md",
    "gateway.md",
    "doctor.md",
)
PORTS = (8000, 8080, 7070)
# Longest time for a command, and for what one that goes on is to write.
PATIENCE = 120.0
# The chapters' own ports, where a command does not name others.
WRAPPER = """#!/usr/bin/env bash
case "$1 $*" in
    serve\\ *--port*|serve\\ *--bind*|serve\\ *-b\\ *|serve\\ *--uds*) ;;
    serve\\ *) set -- "$@" --port {8000} ;;
    up\\ *--gateway*) ;;
    up\\ *) set -- "$@" --gateway 127.0.0.1:{8080} --hub 127.0.0.1:{7070} ;;
esac
exec {binary} "$@"
"""
# The example of the crate `pinnace`, which is built beside the binary.
EXAMPLE = """#!/usr/bin/env bash
PORT=${PORT:-{8000}} exec {example}
"""


class Failed(Exception):
    """A command did not do what its chapter shows."""


class Running:
    """A command that goes on."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str], home: str) -> None:
        self.home = home
        # A terminal, so that it writes what a person would see.
        self._terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._written = ""
        self._seen = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # A terminal that nobody holds any more is an error, and the end.
        with contextlib.suppress(OSError), open(self._terminal, encoding="utf-8", errors="replace") as terminal:
            for line in terminal:
                self._written += line

    def unseen(self) -> str:
        """What was written and not yet shown; whole lines only."""
        written = self._written
        return plain(written[: written.rfind("\n") + 1], self.home)[self._seen :] + "\n"

    def await_output(self, output: tuple[str, ...]) -> None:
        """Waits until what is shown was written."""
        wanted = pattern(output)

        until(lambda: self._has_ended() or wanted.search(self.unseen()) is not None)
        if match := wanted.search(self.unseen()):
            self._seen += match.end()
            return
        ended = f"it ended with {self.process.returncode}\n" if self._has_ended() else ""
        raise Failed(f"{ended}{difference(output, self.unseen())}")

    def _has_ended(self) -> bool:
        """Whether it has, and all that it wrote was read."""
        if self.process.poll() is None:
            return False
        self._reader.join(5)
        return True

    def interrupt(self) -> int:
        """Ctrl-C, and the wait for its end."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed("it did not end after ^C") from None
        return code

    def kill(self) -> None:
        """For the end of a chapter that has failed."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            if not until(lambda: self.process.poll() is not None, 20):
                os.killpg(self.process.pid, signal.SIGKILL)


class Reader:
    """Somebody who does what a chapter says, in a folder of their own."""

    def __init__(self, folder: Path, tools: Path, wheels: Path) -> None:
        self.home = str(folder)
        self.folder = folder
        self.running: Running | None = None
        self.ports = {port: free_port() for port in PORTS}
        self.tools = tools
        binary = Path(os.environ["PINNACE_BIN"]).resolve()
        words = {str(port): str(free) for port, free in self.ports.items()}
        words |= {"binary": str(binary), "example": str(binary.parent / "examples/shipping")}
        for name, text in {"pinnace": WRAPPER, "shipping": EXAMPLE}.items():
            wrapper = tools / name
            wrapper.write_text(re.sub(r"\{(\w+)\}", lambda match: words[match[1]], text))
            wrapper.chmod(0o755)
        # On a terminal curl shows no progress; here it would.
        (tools / ".curlrc").write_text("silent\nshow-error\n")
        kept = ("PATH", "LANG", "LC_ALL", "TMPDIR")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": self.home,
            "CURL_HOME": str(tools),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        # Environments are made by pip here: uv says things in other words, and does not know PIP_FIND_LINKS.
        usual = ("/usr/bin", "/bin")
        folders = self.environment.get("PATH", ":".join(usual)).split(":")
        folders = [folder for folder in folders if folder in usual or not (Path(folder) / "uv").exists()]
        self.environment["PATH"] = ":".join([str(tools), f"{sys.base_prefix}/bin", *folders])

    def do(self, step: notation.Step) -> None:
        """One step; raises Failed."""
        match step:
            case File():
                path = self.folder / step.path
                path.parent.mkdir(parents=True, exist_ok=True)
                before = path.read_text() if step.appends else ""
                path.write_text(before + self._with_ports(step.text))
            case Environment():
                (self.folder / step.path).symlink_to(sys.prefix)
            case Command(stays=True):
                if self.running is not None:
                    raise Failed("another command goes on still")
                self.running = Running(self._with_ports(step.text), self.folder, self.environment, self.home)
                self.running.await_output(step.output)
            case Command():
                self._run(step)
            case Next():
                self._go_on(step)

    def _run(self, command: Command) -> None:
        place, variables = self.tools / "place", self.tools / "variables"
        # What a shell keeps from command to command: its folder and its variables.
        keep = f'code=$?; pwd >"{place}"; env -0 >"{variables}"; exit $code'
        try:
            ended = subprocess.run(
                ["bash", "-c", f"{self._with_ports(command.text)}\n{keep}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(f"it did not end within {PATIENCE:.0f} s: {late.output}") from None
        if ended.returncode != command.exit:
            raise Failed(f"it ended with {ended.returncode}, not with {command.exit}:\n{ended.stdout}")
        if not shows(command.output, ended.stdout, self.home):
            raise Failed(difference(command.output, plain(ended.stdout, self.home)))
        self.folder = Path(place.read_text().strip())
        pairs = (pair.partition("=") for pair in variables.read_text().split("\0") if pair)
        self.environment = {name: value for name, _, value in pairs}

    def _go_on(self, step: Next) -> None:
        if self.running is None:
            raise Failed("there is no command that goes on")
        if not step.interrupts:
            self.running.await_output(step.output)
            return
        running, self.running = self.running, None
        code = running.interrupt()
        if code != step.exit:
            raise Failed(f"it ended with {code}, not with {step.exit}:\n{running.unseen()}")
        running.await_output(step.output)

    def _with_ports(self, text: str) -> str:
        return re.sub(r"(:|--port )(8000|8080|7070)\b", lambda match: f"{match[1]}{self.ports[int(match[2])]}", text)

    def leave(self) -> None:
        """Ends what goes on still."""
        if self.running is not None:
            self.running.kill()
            self.running = None


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Waits for a condition; tells whether it came."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_port() -> int:
    """A port below those that the system hands out by itself, so that nobody gets it meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def difference(output: tuple[str, ...], written: str) -> str:
    """What is shown and what was written, one below the other."""
    shown = "\n".join(f"  | {line}" for line in output)
    there = "\n".join(f"  | {line}" for line in written.strip("\n").splitlines())
    return f"the chapter shows\n{shown}\nand it wrote\n{there}"


def run(chapter: Path, wheels: Path) -> str | None:
    """Does what a chapter says; tells what went wrong."""
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        home, tools = Path(folder).resolve() / "ada", Path(folder).resolve() / "tools"
        home.mkdir()
        tools.mkdir()
        reader = Reader(home, tools, wheels)
        line = 0
        try:
            for step in notation.read(chapter):
                line = step.line
                reader.do(step)
            if reader.running is not None:
                raise Failed("its last command goes on still: end it with ^C")
        except Unreadable as error:
            return f"{chapter}:{error}"
        except Failed as error:
            return f"{chapter}:{line}: {error}"
        finally:
            reader.leave()
    return None


def main() -> int:
    """Runs the chapters that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, required=True, help="what pip installs from")
    parser.add_argument("chapters", nargs="*", type=Path, metavar="CHAPTER")
    arguments = parser.parse_args()
    chapters = arguments.chapters or [DOCS / name for name in CHAPTERS]

    def timed(chapter: Path) -> bool:
        begun = time.monotonic()
        wrong = run(chapter, arguments.wheels.resolve())
        print(f"{'ok' if wrong is None else 'FAILED':<7} {time.monotonic() - begun:5.1f} s  {chapter.name}", flush=True)
        if wrong is not None:
            print(wrong, file=sys.stderr, flush=True)
        return wrong is None

    with ThreadPoolExecutor(2) as pool:
        return 0 if all(list(pool.map(timed, chapters))) else 1


if __name__ == "__main__":
    sys.exit(main())
