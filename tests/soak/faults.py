"""What is done to a running system while it is loaded: reloads, scaling, a killed hub, killed workers.

Each kind has a thread of its own with a schedule drawn from the seed, so that they meet in every combination.
"""

from __future__ import annotations

import functools
import os
import random
import re
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from checks import Kill
from system import SoakError, System, until

RELOADED = re.compile(r" s reloaded in \d+ ms")
NOT_RELOADED = re.compile(r" s the old workers go on")
# A worker that starts may be killed too: then the old ones go on, and whoever saved the file saves it again.
ATTEMPTS = 4
LONGEST_RELOAD = 60.0


@dataclass(frozen=True)
class Plan:
    """How much is done within a load of so many seconds."""

    seconds: float
    reloads: int
    scaled: list[str]
    hub_kills: int
    kill_every: float

    def wanted(self, services: list[str]) -> dict[str, int]:
        """What has to have happened in the end."""
        wanted = {f"reloads of {service}": self.reloads for service in services}
        wanted |= {f"{service} scaled up and down": 1 for service in self.scaled}
        wanted["hub killed and back"] = self.hub_kills
        wanted["workers killed"] = max(1, int(self.seconds / self.kill_every) - 1)
        return wanted


@dataclass
class Faults:
    """The faults of one load, and what has come of them."""

    system: System
    plan: Plan
    seed: int
    services: list[str]
    kills: list[Kill] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    reload_seconds: list[float] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    read: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    # For the proof that a check can fail: a worker that is killed without being written down.
    hidden_kill: bool = False

    def begin(self) -> None:
        for work in (self.kill_workers, self.reload, self.scale, self.kill_hub):
            thread = threading.Thread(target=self.guarded, args=(work,), name=work.__name__, daemon=True)
            self.threads.append(thread)
            thread.start()

    def end(self) -> None:
        """Lets what was begun come to its end."""
        self.over.set()
        for thread in self.threads:
            thread.join(LONGEST_RELOAD * 2)
            if thread.is_alive():
                self.complaints.append(f"{thread.name} does not come to its end")

    def guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SoakError as error:
            self.complaints.append(f"{work.__name__}: {error}")
        except Exception:
            self.complaints.append(f"{work.__name__}: {traceback.format_exc()}")

    def kill_workers(self) -> None:
        draw = random.Random(f"{self.seed} workers")
        while not self.over.wait(self.plan.kill_every):
            service = draw.choice(self.services)
            workers = self.system.workers(service)
            if not workers:
                continue
            victim = draw.choice(sorted(workers, key=lambda worker: worker.pid))
            at = time.time()
            try:
                os.kill(victim.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.happened["workers killed"] += 1
            if not self.hidden_kill:
                self.kills.append(Kill(service, victim.pid, at))

    def reload(self) -> None:
        draw = random.Random(f"{self.seed} reload")
        turns = [service for _ in range(self.plan.reloads) for service in self.services]
        pause = self.plan.seconds * 0.9 / max(1, len(turns))
        began = time.monotonic()
        for number, service in enumerate(turns):
            # A reload that takes longer than its share delays the next one; none is left out.
            due = began + pause * (number + draw.uniform(0.1, 0.5))
            if self.over.wait(max(0.0, due - time.monotonic())):
                return
            self.reload_once(service)

    def reload_once(self, service: str) -> None:
        for _ in range(ATTEMPTS):
            good, bad = self.said(service, RELOADED), self.said(service, NOT_RELOADED)
            began = time.monotonic()
            touch(self.system.root / "services" / service)
            until(
                functools.partial(self.said_more, service, good, bad),
                f"{service} reloads after a change",
                LONGEST_RELOAD,
                every=0.1,
            )
            if self.said(service, RELOADED) > good:
                self.reload_seconds.append(time.monotonic() - began)
                self.happened[f"reloads of {service}"] += 1
                return
        raise SoakError(f"{service} did not reload in {ATTEMPTS} attempts")

    def said_more(self, service: str, good: int, bad: int) -> bool:
        return self.said(service, RELOADED) > good or self.said(service, NOT_RELOADED) > bad

    def said(self, service: str, pattern: re.Pattern[str]) -> int:
        """How often the supervisor has said it; what was read of the file before is not read again."""
        place, lines = self.read.get(service, (0, []))
        more, place = self.system.log_from(service, place)
        lines = [*lines, *(line for line in more if " s " in line)]
        self.read[service] = (place, lines)
        return sum(pattern.search(line) is not None for line in lines)

    def scale(self) -> None:
        draw = random.Random(f"{self.seed} scale")
        pause = self.plan.seconds * 0.85 / max(1, 2 * len(self.plan.scaled))
        for service in self.plan.scaled:
            if self.over.wait(pause * draw.uniform(0.5, 0.9)):
                return
            self.scale_to(service, 2)
            if self.over.wait(pause * draw.uniform(0.3, 0.6)):
                return
            self.scale_to(service, 1)
            self.happened[f"{service} scaled up and down"] += 1

    def scale_to(self, service: str, instances: int) -> None:
        done = self.system.command("scale", f"{service}={instances}")
        if done.returncode != 0:
            raise SoakError(
                f"`pinnace scale {service}={instances}` ended with {done.returncode}: {done.stderr.strip()}"
            )

        def ready() -> bool:
            found = self.system.service(service)["instances"]
            return len(found) == instances and all(one["state"] in ("ready", "reloading") for one in found)

        until(ready, f"{service} has {instances} ready instances", LONGEST_RELOAD, every=0.1)

    def kill_hub(self) -> None:
        draw = random.Random(f"{self.seed} hub")
        for _ in range(self.plan.hub_kills):
            if self.over.wait(self.plan.seconds / (self.plan.hub_kills + 1) * draw.uniform(0.6, 1.0)):
                return
            victim = self.system.platform("hub")
            os.kill(victim.pid, signal.SIGKILL)
            until(functools.partial(self.hub_is_back, victim.pid), "the hub is back", LONGEST_RELOAD, every=0.1)
            self.happened["hub killed and back"] += 1

    def hub_is_back(self, old: int) -> bool:
        try:
            return bool(self.system.service("hub")["state"] == "ready") and self.system.platform("hub").pid != old
        except SoakError:
            return False


def touch(folder: Path) -> None:
    """Saves a source file again with one more line, as an editor does."""
    files = sorted(
        file for file in folder.rglob("*.py") if "tests" not in file.parts and "migrations" not in file.parts
    )
    with files[-1].open("a") as file:
        file.write("# saved again\n")
