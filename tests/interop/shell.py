"""`registry_shell`, the example of pinnace-discovery that is told what to do line by line."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waiting import LONGEST_WAIT, until

Event = dict[str, Any]


class Shell:
    """One process that registers and follows."""

    def __init__(self, binary: Path, address: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [str(binary.parent / "examples/registry_shell"), address],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.events: list[Event] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def tell(self, **order: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def last(self, member: str, value: str) -> Event | None:
        return next((event for event in reversed(self.events) if event.get(member) == value), None)

    def follow(self, service: str) -> None:
        self.tell(follow=service)
        until(lambda: bool((last := self.last("service", service)) and last["known"]), self._nothing_of(service))

    def ids(self, service: str) -> list[str]:
        last = self.last("service", service)
        assert last is not None
        return [instance["id"] for instance in last["instances"]]

    def sees(self, service: str, *ids: str) -> Event:
        """Waits until these instances of a service are there, and no others; returns what was told of them."""
        until(lambda: self.ids(service) == list(ids), self._nothing_of(service))
        last = self.last("service", service)
        assert last is not None
        return last

    def register(self, service: str, instance: str, **more: object) -> None:
        self.tell(register={"service": service, "id": instance, "endpoint": "http://127.0.0.1:9", **more})

    def is_told(self, lease: str, state: str, after: int = 0) -> None:
        """Waits until the lease is in a state, among what was told after so many events."""

        def told() -> bool:
            return any(event.get("lease") == lease and event["state"] == state for event in self.events[after:])

        until(told, lambda: f"{lease} is {state}: {self.events}")

    def _nothing_of(self, service: str) -> Callable[[], str]:
        return lambda: f"what is known of {service} changes: {self.last('service', service)}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONGEST_WAIT)
