"""The example's shop, run by `pinnace up` in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# The first start of all installs three environments.
LONGEST_START = 300.0
LONGEST_WAIT = 60.0
# What a copy leaves behind: what the services or a developer made, and what `up` keeps.
NOT_COPIED = shutil.ignore_patterns(".pinnace", ".venv", "__pycache__", ".*_cache", "instance", "*.sqlite3*")


def until(condition: Callable[[], bool], what: str, longest: float = LONGEST_WAIT) -> None:
    """Waits for a condition, not for time."""
    deadline = time.monotonic() + longest
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


class Shop:
    """A copy of the shop. Its environments are kept from one run of the tests to the next, its data is not."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary = binary
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        self.gateway = ""
        self.lines: list[dict[str, Any]] = []
        self.talk: list[str] = []
        shipping = binary.parent / "shop-shipping"
        assert shipping.exists(), "`cargo build --package shop-shipping` makes it; `make test` does"
        if folder.exists():
            ps = subprocess.run([str(binary), "ps"], cwd=folder, capture_output=True, timeout=LONGEST_WAIT, check=False)
            assert ps.returncode != 0, f"a shop runs in {folder} already"
        for kept in ("data", "logs", "run", "tmp"):
            shutil.rmtree(folder / ".pinnace" / kept, ignore_errors=True)
        for copied in folder.iterdir() if folder.exists() else ():
            if copied.name != ".pinnace":
                shutil.rmtree(copied) if copied.is_dir() else copied.unlink()
        shutil.copytree(REPOSITORY / "examples/shop", folder, ignore=NOT_COPIED, dirs_exist_ok=True)

    # ---------------------------------------------------------------- its life

    def start(self) -> None:
        command = [str(self.binary), "up", "--json", "--strict", "--gateway", "127.0.0.1:0", "--hub", "127.0.0.1:0"]
        # Shipping is built beside the binary.
        path = f"{self.binary.parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path}
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.lines, self.talk = [], []
        for read in (self._read_lines, self._read_talk):
            threading.Thread(target=read, args=(self.process,), daemon=True).start()
        until(lambda: self._system() is not None or self._has_ended(), "a system that is settled", LONGEST_START)
        system = self._system()
        assert system is not None, f"`up` ended:\n{self.told()}"
        self.gateway = str(system["gateway_url"])
        assert set(self.states().values()) == {"ready"}, self.told()

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(LONGEST_WAIT)

    def kill(self) -> None:
        """After a test that failed; what `up` started ends with it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(LONGEST_WAIT)

    def told(self) -> str:
        """What `up` and the services said last, for the message of a failed test."""
        lines = [f"{line.get('instance')} | {line.get('text')}" for line in self.lines[-60:] if "text" in line]
        return "\n".join([*self.talk[-40:], *lines])

    def _has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _system(self) -> dict[str, Any] | None:
        return next((line for line in list(self.lines) if line.get("event") == "system"), None)

    def _read_lines(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(json.loads(line))

    def _read_talk(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.talk.extend(line.rstrip("\n") for line in process.stderr)

    # ---------------------------------------------------------------- other commands

    def command(self, *arguments: str) -> str:
        command = [str(self.binary), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=LONGEST_WAIT, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}\n{self.told()}"
        return done.stdout

    def services(self) -> dict[str, dict[str, Any]]:
        system = json.loads(self.command("ps", "--json"))
        return {service["name"]: service for service in system["services"]}

    def states(self) -> dict[str, str]:
        return {name: service["state"] for name, service in self.services().items()}

    # ---------------------------------------------------------------- what it leaves behind

    def said(self, service: str, text: str) -> bool:
        """Whether a line of the service has this text."""
        return any(line.get("service") == service and text in line["text"] for line in list(self.lines))

    def query(self, service: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Reads a service's own database, as nobody but a test does."""
        path = self.folder / ".pinnace/data" / service / "db.sqlite3"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=LONGEST_WAIT)
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def order_rows(self, email: str) -> list[tuple[Any, ...]]:
        return self.query("orders", "SELECT id, status, total_cents FROM orders_order WHERE email = ?", email)

    def shipment(self, order: str) -> str | None:
        """How far shipping is with an order."""
        rows = self.query("shipping", "SELECT status FROM shipments WHERE order_id = ?", order)
        return str(rows[0][0]) if rows else None

    def stock(self, product: int) -> int:
        ((stock,),) = self.query("catalog", "SELECT stock FROM products WHERE id = ?", product)
        return int(stock)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
