"""What /proc knows: whose a process is, what it uses, whether it is still there."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: str

    @property
    def is_worker(self) -> bool:
        return "pinnace._worker" in self.command


def read(pid: int) -> Process | None:
    """A process that lives; none for one that has ended, reaped or not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    words = command.decode(errors="replace").replace("\0", " ").strip()
    return Process(pid, int(fields[1]), words)


def everything() -> dict[int, Process]:
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid: process for pid in numbers if (process := read(pid)) is not None}


def family(pid: int, among: dict[int, Process] | None = None) -> list[Process]:
    """A process and all below it."""
    among = everything() if among is None else among
    found, left = [], [pid]
    while left:
        one = left.pop()
        if one in among:
            found.append(among[one])
        left += [process.pid for process in among.values() if process.parent == one]
    return found


def belonging(mark: str, folder: Path) -> list[Process]:
    """All that bear a mark in their environment, or work in a folder, or name it: the same question asked in three
    ways, because a process may have cleaned its environment or changed its folder."""
    return [one for one in everything().values() if one.pid != os.getpid() and _belongs(one, mark, folder)]


def _belongs(process: Process, mark: str, folder: Path) -> bool:
    if str(folder) in process.command:
        return True
    base = Path(f"/proc/{process.pid}")
    try:
        if mark.encode() in (base / "environ").read_bytes():
            return True
        return (base / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def memory_mib(pids: list[int]) -> float:
    """The proportional share of memory (Pss) of several processes together."""
    kib = 0
    for pid in pids:
        try:
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        kib += int(found[1]) if found else 0
    return kib / 1024


def cpu_seconds(pids: list[int]) -> float:
    """Time on a core of several processes, of threads that have ended too; to the hundredth for each of them."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def busy_cores(seconds: float) -> float:
    """How many cores of the machine are at work, on average over some seconds: what is measured while others want the
    same cores says little."""
    before, began = _busy_seconds(), time.monotonic()
    time.sleep(seconds)
    return (_busy_seconds() - before) / (time.monotonic() - began)


def _busy_seconds() -> float:
    ticks = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK")
