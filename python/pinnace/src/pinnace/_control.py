"""The worker's voice on the control socket: one JSON document a line, as `pinnace_types::worker` defines them."""

from __future__ import annotations

import json
import os
from typing import NoReturn


class StartFailure(Exception):
    """The service cannot start; what the parent shows its user."""

    def __init__(self, kind: str, message: str, *, detail: list[str] | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail or []
        self.hint = hint


class Control:
    """Events upwards. A parent that is gone is no error here: the worker ends when the socket does."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, True)

    def loaded(self, *, target: str, interface: str, framework: str, python: str) -> None:
        """The application was imported."""
        self._send(
            {
                "type": "loaded",
                "target": target,
                "interface": interface,
                "framework": framework,
                "python": python,
            }
        )

    def ready(self) -> None:
        """Requests are answered from now on."""
        self._send({"type": "ready"})

    def stopped(self) -> None:
        """Everything has drained and the lifespan has ended."""
        self._send({"type": "stopped"})

    def debugging(self, by: str) -> None:
        """A debugger is at work: silence means nothing from now on."""
        self._send({"type": "debugging", "by": by})

    def failed(self, failure: StartFailure) -> None:
        """The worker ends with this."""
        self._send(
            {
                "type": "failed",
                "kind": failure.kind,
                "message": failure.message,
                "detail": failure.detail,
                "hint": failure.hint,
            }
        )

    def _send(self, event: dict[str, object]) -> None:
        line = memoryview(json.dumps(event).encode() + b"\n")
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except (BrokenPipeError, ConnectionResetError):
            end_at_once()


def end_at_once() -> NoReturn:
    """Ends without a word: whoever would hear it is gone."""
    os._exit(1)
