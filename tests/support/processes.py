"""Which processes there are, read from /proc."""

from __future__ import annotations

from pathlib import Path


def children(parent: int) -> list[int]:
    """The processes that this one has started and that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat[stat.rindex(")") + 2 :].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def workers(parent: int) -> set[int]:
    """The workers of a `pinnace serve`."""
    return {pid for pid in children(parent) if b"pinnace._worker" in command_line(pid)}


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def marked(mark: str) -> set[int]:
    """The processes that have inherited a mark in their environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def is_gone(mark: str) -> bool:
    return not marked(mark)
