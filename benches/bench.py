#!/usr/bin/env python3
"""`make bench`: Pinnace beside its peers, in one run.

All servers of a suite are up at once, pinned to one core, and are measured one after the other in short windows, in
another order each round, so that whatever disturbs the machine disturbs all alike. The load is pinned to another core.
A ratio is the median of the ratios of single rounds.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import measure
from contenders import HERE, Field, Suite
from report import Figures, page

LIBRARIES = (
    "uvicorn",
    "uvloop",
    "httptools",
    "gunicorn",
    "granian",
    "fastapi",
    "starlette",
    "flask",
    "django",
    "djangorestframework",
)


def main() -> None:
    options = parse()
    order = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="pinnace-bench-") as scratch:
        load = measure.Load(
            tool="wrk" if options.load == "wrk" else "pinnace-load",
            program=Path(shutil.which("wrk") or "wrk") if options.load == "wrk" else options.generator,
            core=options.load_core,
            connections=options.connections,
            seconds=options.seconds,
            scratch=Path(scratch),
        )
        field = Field(options.binary.resolve(), Path(sys.prefix), Path(scratch), options.port)
        suites = [suite for suite in field.suites() if not options.only or suite.name in options.only.split(",")]
        if not suites:
            raise SystemExit(f"--only {options.only} names no suite")
        all_figures: list[Figures] = []
        for suite in suites:
            all_figures += run(suite, load, options, order, Path(scratch))
    facts = about(options, load)
    today = datetime.date.today().isoformat()
    text = page(f"Figures of {today}", facts, all_figures)
    print(text)
    if options.results:
        file = unused(options.results, today)
        file.write_text(text)
        print(f"written to {file}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="pinnace, built with --release")
    parser.add_argument("--generator", type=Path, required=True, help="pinnace-load, built with --release")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2, help="of one window")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=int, default=500, help="of the open loop; 0 leaves it out")
    parser.add_argument("--only", default="", help="suites, with commas")
    parser.add_argument("--load", choices=("wrk", "own"), default="wrk" if shutil.which("wrk") else "own")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--port", type=int, default=18100, help="the first of some twenty ports")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=None, help="folder of the pages; none is written without it")
    return parser.parse_args()


def run(
    suite: Suite, load: measure.Load, options: argparse.Namespace, order: random.Random, scratch: Path
) -> list[Figures]:
    fast = Figures(suite, {contender.name: [] for contender in suite.contenders})
    steady = Figures(suite, {contender.name: [] for contender in suite.contenders}, options.rate or None)
    with (
        measure.running(suite.behind, options.load_core, scratch, suite.ask),
        measure.running(suite.contenders, options.server_core, scratch, suite.ask) as processes,
    ):
        for contender in suite.contenders:
            measure.window(load, contender, processes[contender.name], suite.ask)
        for number in range(options.rounds):
            say(f"{suite.name}: round {number + 1} of {options.rounds}")
            contenders = list(suite.contenders)
            order.shuffle(contenders)
            for contender in contenders:
                process = processes[contender.name]
                fast.windows[contender.name].append(measure.window(load, contender, process, suite.ask))
                if options.rate:
                    seen = measure.steady_window(load, options.generator, options.rate, contender, process, suite.ask)
                    steady.windows[contender.name].append(seen)
    return [fast, steady] if options.rate else [fast]


def about(options: argparse.Namespace, load: measure.Load) -> dict[str, str]:
    processor = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    commit = measure.version_of("git", "-C", HERE, "rev-parse", "--short=12", "HEAD")
    changed = subprocess.run(
        ["git", "-C", str(HERE), "status", "--porcelain", "--", "../crates", "../python"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    versions.append(measure.version_of("nginx", "-v").removeprefix("nginx version: "))
    tool = f"{measure.version_of('wrk', '-v')} (closed loop)" if load.tool == "wrk" else "pinnace-load (closed loop)"
    return {
        "Machine": f"{len_cores()} cores, {processor[1] if processor else platform.machine()}, "
        f"{int(memory[1]) // 1024 if memory else 0} MiB, Linux {platform.release()}",
        "Pinnace": f"{measure.version_of(options.binary, '--version')}, commit {commit}"
        + (" and changes" * bool(changed)),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Peers": ", ".join(versions),
        "Load": f"{tool}, {load.connections} connections, core {load.core}; the open loop is pinnace-load",
        "Servers": f"one worker each, core {options.server_core}, no access log",
        "Windows": f"{options.rounds} rounds of {load.seconds} s, order by seed {options.seed}, after one to warm up",
        "Command": f"`python benches/bench.py {' '.join(given())}`",
    }


def given() -> list[str]:
    """The arguments without the machine's own paths."""
    return [re.sub(r"^/\S*/", "…/", word) for word in sys.argv[1:]]


def len_cores() -> int:
    return Path("/proc/cpuinfo").read_text().count("processor\t")


def unused(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    file, number = folder / f"{name}.md", 1
    while file.exists():
        number += 1
        file = folder / f"{name}-{number}.md"
    return file


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
