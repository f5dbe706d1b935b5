"""The committed log: what was run, with which command and seed, on which commit, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass
class Journal:
    """A file of one JSON document a line; none where nothing is to be kept."""

    file: Path | None

    def next_seed(self, scenario: str) -> int:
        """Each run goes on where the last one ended, so that runs add up."""
        seeds = [entry["seed"] for entry in self.entries() if entry["scenario"] == scenario]
        return max(seeds, default=0) + 1

    def unfinished(self, scenario: str) -> dict[str, Any] | None:
        """The last run of a scenario, if it was interrupted."""
        entries = [entry for entry in self.entries() if entry["scenario"] == scenario]
        return entries[-1] if entries and entries[-1]["verdict"] == "interrupted" else None

    def entries(self) -> list[dict[str, Any]]:
        if self.file is None or not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines() if line]

    def add(self, entry: dict[str, Any]) -> None:
        if self.file is not None:
            with self.file.open("a") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def entry(
    scenario: str, command: str, seed: int, figures: dict[str, Any], complaints: list[str], interrupted: bool
) -> dict[str, Any]:
    verdict = "fail" if complaints else "interrupted" if interrupted else "pass"
    return {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "scenario": scenario,
        "command": command,
        "seed": seed,
        "figures": figures,
        "verdict": verdict,
        # A long list says no more than its beginning; the run itself has printed all of it.
        "complaints": complaints[:20],
    }


def commit() -> str:
    name = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "crates", "python", "examples")
    return f"{name}+changes" if changed else name


def _git(*words: str) -> str:
    command = ["git", "-C", str(HERE.parent.parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
