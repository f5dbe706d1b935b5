"""A system that `pinnace up` runs, as the soak holds it: its folder, its processes, its commands."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import processes

# What a first start may take, with environments to be made; a later one is bounded by the check that measures it.
LONGEST_START = 600.0
LONGEST_END = 60.0
LONGEST_COMMAND = 120.0


class SoakError(Exception):
    """Something that should have happened did not."""


def until(condition: Callable[[], bool], what: str, within: float, every: float = 0.02) -> float:
    """Waits for a condition; gives back for how long."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within:
            raise SoakError(f"waited {within:.0f} s in vain: {what}")
        time.sleep(every)
    return time.monotonic() - began


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class System:
    """One folder with a `pinnace.toml`, and at most one `up` in it."""

    binary: Path
    root: Path
    gateway: int = field(default_factory=free_port)
    hub: int = field(default_factory=free_port)
    # Stands in the environment of all of its processes.
    mark: str = ""
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0

    @classmethod
    def copy_of(cls, binary: Path, source: Path, root: Path) -> System:
        """The files of a system as they are in the project, with the environments that an earlier round has made."""
        root.mkdir(parents=True, exist_ok=True)
        for entry in root.iterdir():
            if entry.name != ".pinnace":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        left_out = shutil.ignore_patterns(".pinnace", "__pycache__", "instance", "*.sqlite3*", ".*_cache", ".venv")
        shutil.copytree(source, root, ignore=left_out, dirs_exist_ok=True)
        return cls(binary, root)

    def forget(self) -> None:
        """Leaves nothing of earlier rounds but the environments."""
        for name in ("data", "run", "logs"):
            shutil.rmtree(self.root / ".pinnace" / name, ignore_errors=True)

    def start(self) -> None:
        self.mark = f"PINNACE_SOAK_MARK={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        command = ["up", "--gateway", f"127.0.0.1:{self.gateway}", "--hub", f"127.0.0.1:{self.hub}", "--json"]
        with (self.root / "up.out").open("wb") as out, (self.root / "up.err").open("wb") as err:
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                [str(self.binary), *command],
                cwd=self.root,
                # The shop's shipping is built beside the binary.
                env=os.environ | {name: value, "PATH": f"{self.binary.parent}:{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait_until_ready(self, within: float = LONGEST_START) -> float:
        """Until every service answers, also through the gateway; gives back the seconds since the start."""
        try:
            until(self.is_ready, "all services are ready", within)
        except SoakError as error:
            raise SoakError(f"{error}; {self.why_not()}") from None
        return time.monotonic() - self.started

    def is_ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise SoakError(f"`pinnace up` has ended: {self.last_words()}")
        view = self.view()
        return view is not None and all(service["state"] == "ready" for service in view["services"])

    def why_not(self) -> str:
        view = self.view()
        if view is None:
            return "`pinnace ps` says nothing"
        return ", ".join(f"{one['name']} is {one['state']}" for one in view["services"])

    def last_words(self) -> str:
        lines = (self.root / "up.err").read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-6:])

    def view(self) -> dict[str, Any] | None:
        """What `pinnace ps --json` says; none while nobody answers."""
        done = self.command("ps", "--json")
        if done.returncode != 0:
            return None
        view: dict[str, Any] = json.loads(done.stdout)
        return view

    def service(self, name: str) -> dict[str, Any]:
        view = self.view() or {"services": []}
        for service in view["services"]:
            if service["name"] == name:
                found: dict[str, Any] = service
                return found
        raise SoakError(f"`pinnace ps` shows no {name}")

    def services(self) -> list[str]:
        """The user's own, in the order of their start."""
        view = self.view() or {"services": []}
        return [service["name"] for service in view["services"] if service["kind"] != "platform"]

    def hosted(self) -> list[str]:
        """Those of them whose application Pinnace hosts, in workers that it reloads."""
        view = self.view() or {"services": []}
        return [service["name"] for service in view["services"] if service["kind"] == "hosted"]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.binary), *words],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_COMMAND,
        )

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def log(self, service: str) -> str:
        """All that the log file of a service has, the old file first."""
        folder = self.root / ".pinnace" / "logs"
        files = [folder / f"{service}.log.1", folder / f"{service}.log"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def log_from(self, service: str, place: int) -> tuple[list[str], int]:
        """The whole lines of a service's log file from a place on, and the place behind them."""
        file = self.root / ".pinnace" / "logs" / f"{service}.log"
        if not file.exists() or file.stat().st_size < place:
            # It was turned over, and what was said meanwhile is in the old one: too rare to be followed.
            place = 0
        if not file.exists():
            return [], place
        with file.open("rb") as log:
            log.seek(place)
            whole, _, _ = log.read().rpartition(b"\n")
        return whole.decode(errors="replace").splitlines(), place + len(whole) + (1 if whole else 0)

    def database(self, service: str) -> Path:
        return self.root / ".pinnace" / "data" / service / "db.sqlite3"

    def alive(self) -> list[processes.Process]:
        return processes.belonging(self.mark, self.root)

    def workers(self, service: str) -> list[processes.Process]:
        everything = processes.everything()
        leaders = [instance["pid"] for instance in self.service(service)["instances"]]
        return [one for pid in leaders for one in processes.family(pid, everything) if one.is_worker]

    def platform(self, name: str) -> processes.Process:
        """The hub or the gateway itself, not a guard above it."""
        everything = processes.everything()
        for instance in self.service(name)["instances"]:
            for one in processes.family(instance["pid"], everything):
                words = one.command.split()
                if name in words and "guard" not in words:
                    return one
        raise SoakError(f"no process of the {name} is there")

    def kill(self) -> list[processes.Process]:
        """`kill -9` of `up`; gives back who was there at that moment."""
        assert self.process is not None
        there = self.alive()
        self.process.kill()
        self.process.wait()
        return there

    def left_after(self, seconds: float) -> tuple[float, list[processes.Process]]:
        """Until no process of it is left, at most so long; gives back for how long, and who is left."""
        began = time.monotonic()
        while True:
            left = self.alive()
            waited = time.monotonic() - began
            if not left or waited > seconds:
                return waited, left
            time.sleep(0.01)

    def end(self) -> int:
        """SIGTERM, as `docker stop` sends it; gives back the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(LONGEST_END)
        except subprocess.TimeoutExpired:
            raise SoakError(f"`pinnace up` goes on {LONGEST_END:.0f} s after SIGTERM") from None

    def sweep(self) -> None:
        """Leaves none of its processes behind, whatever has happened: only what bears its mark is killed."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for process in self.alive() if self.mark else []:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
