"""`kill -9` of `up` at random moments of its life: a second later nothing of it is left, and the next `up` works.

A round is two lives. The first is killed at a moment drawn from the whole of it, its start included; in some rounds the
environment of a service is away, so that the moment may fall into an installer. The second has to become ready and to
answer through the gateway, and is killed right then.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import checks
from system import SoakError, System

# Each so many rounds one environment has to be made again.
FRESH_EVERY = 10


@dataclass(frozen=True)
class KillOptions:
    first: int
    rounds: int
    # By which times are multiplied, where the machine does other things as well.
    patience: float = 1.0
    sabotage: str = ""


@dataclass
class Rounds:
    """What rounds have shown so far."""

    within: float
    finished: int = 0
    moments: list[float] = field(default_factory=list)
    gone_after: list[float] = field(default_factory=list)
    there: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        return {
            "rounds": self.finished,
            "kills": len(self.gone_after),
            "moments_s": [round(min(self.moments), 2), round(max(self.moments), 2)] if self.moments else None,
            "all_gone_after_s_max": round(max(self.gone_after), 3) if self.gone_after else None,
            "processes_killed_with_it_max": max(self.there, default=0),
            "next_start_s_max": round(max(self.starts), 2) if self.starts else None,
        }


def run(system: System, options: KillOptions, seed: int, interrupted: Callable[[], bool]) -> Rounds:
    seen = Rounds(checks.GONE_WITHIN * options.patience)
    system.forget()
    usual = 0.0
    for life in ("the first life, which may have to make environments", "the second life"):
        system.start()
        usual = system.wait_until_ready()
        kill(system, seen, life)
    for number in range(options.first, options.rounds):
        if interrupted():
            break
        draw = random.Random(f"{seed} kill {number}")
        fresh = number % FRESH_EVERY == FRESH_EVERY - 1
        moment = draw.uniform(0.0, usual * (3.0 if fresh else 1.5))
        if fresh:
            # Its making begins at once and takes longer than any start.
            forget_an_environment(system, draw)
        system.start()
        time.sleep(max(0.0, system.started + moment - time.monotonic()))
        seen.moments.append(moment)
        litter = leave_something(system) if options.sabotage == "left" else None
        kill(system, seen, f"round {number}, {moment:.2f} s after the start")
        if litter is not None:
            litter.kill()
            litter.wait()
        try:
            system.start()
            seen.starts.append(system.wait_until_ready())
            answers(system)
        except SoakError as error:
            seen.complaints.append(f"round {number}: the next `up` does not work: {error}")
            system.sweep()
            continue
        kill(system, seen, f"round {number}, the second life")
        seen.finished += 1
        gone, ready = seen.gone_after[-2], seen.starts[-1]
        print(
            f"round {number}: killed at {moment:.2f} s, gone in {gone:.3f} s, next ready in {ready:.2f} s", flush=True
        )
    return seen


def kill(system: System, seen: Rounds, moment: str) -> None:
    seen.there.append(len(system.kill()))
    waited, left = system.left_after(seen.within)
    seen.gone_after.append(waited)
    names = [f"{one.pid} {one.command[:80]}" for one in left]
    seen.complaints += checks.nothing_left(moment, waited, names, seen.within)
    if left:
        system.sweep()


def answers(system: System) -> None:
    status, body = system.get("/api/products?limit=1")
    if status != 200 or b'"items"' not in body:
        raise SoakError(f"the gateway answers {status}: {body[:200]!r}")


def forget_an_environment(system: System, draw: random.Random) -> None:
    made = sorted((system.root / ".pinnace" / "envs").iterdir())
    if made:
        shutil.rmtree(draw.choice(made), ignore_errors=True)


def leave_something(system: System) -> subprocess.Popen[bytes]:
    """For the proof that the check can fail: a process of the folder that nobody ends."""
    return subprocess.Popen(["sleep", "1000"], cwd=system.root, start_new_session=True)
