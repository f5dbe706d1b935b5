"""A small parent of one worker: it speaks the control protocol as `pinnace serve` does, so it tests that too."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TIMEOUT = 30.0
REPOSITORY = Path(__file__).parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
# Laid out by `cargo xtask runtime --profile dev`.
RUNTIME = Path(os.environ.get("PINNACE_RUNTIME_DIR", TARGET / "debug/runtime")).resolve()
BOOTSTRAP = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    "runpy.run_module('pinnace._worker', run_name='__main__', alter_sys=True)"
)


class WorkerProcess:
    """A worker that runs; `events` are what it said so far."""

    def __init__(self, process: subprocess.Popen[str], control: socket.socket, address: tuple[str, int]) -> None:
        self.process = process
        self.address = address
        self.events: list[dict[str, Any]] = []
        self.log: list[str] = []
        self._control = control
        self._lines = control.makefile("r", encoding="utf-8")
        self._log_changed = threading.Condition()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def next_event(self) -> dict[str, Any] | None:
        """Waits for the next event; nothing at the end of the socket."""
        line = self._lines.readline()
        if not line:
            return None
        event: dict[str, Any] = json.loads(line)
        self.events.append(event)
        return event

    def until(self, kind: str) -> dict[str, Any]:
        """Waits for an event of this kind."""
        while (event := self.next_event()) is not None:
            if event["type"] == kind:
                return event
        raise AssertionError(f"no `{kind}`: {self.events}, log: {''.join(self.log)}")

    def drain(self, *, linger_ms: int = 0, timeout_ms: int = 10_000) -> None:
        """Commands the worker to finish."""
        command = {"type": "drain", "linger_ms": linger_ms, "timeout_ms": timeout_ms}
        self._control.sendall(json.dumps(command).encode() + b"\n")

    def hang_up(self) -> None:
        """Closes the control socket, as the death of a parent does."""
        self._lines.close()
        self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()

    def wait(self) -> int:
        """Waits for the end of the process and of its log."""
        code = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return code

    def wait_for_log(self, text: str) -> str:
        """Waits until the log has this text; returns the whole log."""
        with self._log_changed:
            found = self._log_changed.wait_for(lambda: text in "".join(self.log), TIMEOUT)
        assert found, f"`{text}` is not in the log: {''.join(self.log)}"
        return "".join(self.log)

    def end(self) -> None:
        """Kills it if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        self._control.close()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._log_changed:
                self.log.append(line)
                self._log_changed.notify_all()


@contextmanager
def start(
    target: str | None, app_dir: Path, *, environment: dict[str, str] | None = None, **settings: Any
) -> Iterator[WorkerProcess]:
    """Starts a worker without waiting for it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    config = {
        "version": version(),
        "index": 0,
        "service": "tested",
        "target": target,
        "app_dir": str(app_dir),
        "interface": "auto",
        "lifespan": "auto",
        "listen_fds": [listener.fileno()],
        "control_fd": theirs.fileno(),
        "metrics_fd": -1,
        "threads": 4,
        "queue": 64,
        "management_prefix": "/-",
        "root_path": "",
        "access_log": False,
        "log_format": "text",
        "max_body_bytes": None,
    } | settings
    process = subprocess.Popen(
        [sys.executable, "-c", BOOTSTRAP, str(RUNTIME)],
        env=os.environ | {"PINNACE_WORKER": json.dumps(config), "PYTHONUNBUFFERED": "1"} | (environment or {}),
        pass_fds=[listener.fileno(), theirs.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    worker = WorkerProcess(process, ours, listener.getsockname())
    listener.close()
    try:
        yield worker
    finally:
        worker.end()


@contextmanager
def serving(target: str | None, app_dir: Path, **settings: Any) -> Iterator[WorkerProcess]:
    """Starts a worker and waits until it answers."""
    with start(target, app_dir, **settings) as worker:
        worker.until("ready")
        yield worker


def version() -> str:
    """The version of the runtime under test."""
    code = "import sys; sys.path.append(sys.argv[1]); from pinnace_runtime import _native; print(_native.VERSION)"
    return subprocess.check_output([sys.executable, "-c", code, str(RUNTIME)], text=True).strip()
