"""What a system costs that does nothing: how soon it is there, what it holds, what it burns."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checks
import processes
from load import end
from system import System

# The promise is for a release build on two cores.
START_WITHIN = 4.0
MEMORY_WITHIN = 100.0
# Of one core, for hub, gateway, supervisor and all parents together.
CPU_WITHIN = 0.02


@dataclass(frozen=True)
class RestOptions:
    starts: int
    # After readiness, before anything is measured: what was begun at the start has ended by then.
    settle: float
    seconds: float
    # By which times are multiplied, where the machine does other things as well.
    patience: float = 1.0
    sabotage: str = ""


def run(system: System, options: RestOptions) -> tuple[dict[str, Any], list[str]]:
    system.forget()
    system.start()
    first = system.wait_until_ready()
    complaints = end(system, options.patience)
    starts = []
    for _ in range(options.starts):
        system.start()
        starts.append(system.wait_until_ready())
        if len(starts) < options.starts:
            complaints += end(system, options.patience)
    ours = [one for one in system.alive() if is_ours(one, system.binary)]
    theirs = [one for one in system.alive() if not is_ours(one, system.binary)]
    time.sleep(options.settle)
    before, began = cpu(ours), time.monotonic()
    before_theirs = cpu(theirs)
    busy = processes.busy_cores(options.seconds)
    elapsed = time.monotonic() - began
    used, used_by_theirs = (cpu(ours) - before) / elapsed, (cpu(theirs) - before_theirs) / elapsed
    held = processes.memory_mib([one.pid for one in ours])
    start_within, memory_within, cpu_within = START_WITHIN * options.patience, MEMORY_WITHIN, CPU_WITHIN
    if options.sabotage == "slow":
        start_within = 0.1
    if options.sabotage == "memory":
        memory_within = 1.0
    if options.sabotage == "cpu":
        cpu_within = -1.0
    complaints += checks.at_most("a second start, all ready", statistics.median(starts), start_within, "s")
    complaints += checks.at_most("hub, gateway, supervisor and parents hold", held, memory_within, "MiB")
    complaints += checks.at_most("hub, gateway, supervisor and parents burn", used, cpu_within, "of a core")
    figures = {
        "first_start_s": round(first, 2),
        "second_start_s": [round(start, 2) for start in starts],
        "our_processes": sorted(f"{name(one)} {processes.memory_mib([one.pid]):.1f} MiB" for one in ours),
        "our_pss_mib": round(held, 1),
        "our_cpu_of_a_core": round(used, 4),
        "workers_pss_mib": round(processes.memory_mib([one.pid for one in theirs]), 1),
        "workers_cpu_of_a_core": round(used_by_theirs, 4),
        "cores_that_others_used": round(max(0.0, busy - used - used_by_theirs), 2),
    }
    return figures, complaints + end(system, options.patience)


def is_ours(process: processes.Process, binary: Path) -> bool:
    try:
        return Path(f"/proc/{process.pid}/exe").readlink() == binary
    except OSError:
        return False


def name(process: processes.Process) -> str:
    """`serve`, `hub` …: the command of ours that it is."""
    return process.command.split()[1]


def cpu(several: list[processes.Process]) -> float:
    return processes.cpu_seconds([one.pid for one in several])
