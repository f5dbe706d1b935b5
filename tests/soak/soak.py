#!/usr/bin/env python3
"""`make soak`: the shop under load and faults, `kill -9` at any moment, its cost at rest, nonsense for the registry.

    python3 tests/soak/soak.py --binary PINNACE --generator PINNACE-LOAD [load] [kills] [rest] [fuzz] [--short]

Ends with 0 when everything held, with 1 and what did not otherwise. Each run adds a line to log.jsonl, with the seed
after the last one; a run that Ctrl-C ends is gone on with by --resume.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import fuzz
import kills
import load
import rest
from faults import Plan
from journal import Journal, entry
from system import SoakError, System

HERE = Path(__file__).parent
SHOP = HERE.parent.parent / "examples" / "shop"
SCENARIOS = ("rest", "load", "kills", "fuzz")
SABOTAGE = ("hidden-kill", "no-faults", "overflow", "order", "stock", "left", "slow", "memory", "cpu", "crash")


class Interruption:
    """The first Ctrl-C lets the round come to its end."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGINT, self.note)

    def note(self, *_: object) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
        print("soak: this round comes to its end; a second Ctrl-C ends it at once", file=sys.stderr)


def main() -> int:
    options = parse()
    journal = Journal(options.log)
    interruption = Interruption()
    # The binary as the kernel names it in /proc.
    system = System.copy_of(options.binary.resolve(), SHOP, options.folder.resolve() / "shop")
    failed = False
    for scenario in options.scenarios or SCENARIOS:
        if interruption.wanted:
            break
        seed, first = options.seed or journal.next_seed(scenario), 0
        left_over = journal.unfinished(scenario) if options.resume else None
        if left_over is not None:
            seed, first = left_over["seed"], left_over["figures"]["next_round"]
        print(f"soak: {scenario}, seed {seed}", flush=True)
        figures, complaints = one(scenario, system, options, seed, first, interruption)
        system.sweep()
        told = entry(scenario, command(), seed, figures, complaints, interruption.wanted)
        journal.add(told)
        for name, value in figures.items():
            print(f"  {name}: {value}")
        for complaint in complaints:
            print(f"soak: {scenario} FAILED: {complaint}", file=sys.stderr)
        print(f"soak: {scenario}, seed {seed}: {told['verdict']}", flush=True)
        failed = failed or bool(complaints)
    return 1 if failed else 0


def one(
    scenario: str, system: System, options: argparse.Namespace, seed: int, first: int, interruption: Interruption
) -> tuple[dict[str, Any], list[str]]:
    short, sabotage = options.short, options.sabotage
    # What is short has to hold on a machine that does other things as well: a third of the load, five times the time.
    rate, patience = options.rate or (50.0 if short else 150.0), 5.0 if short else 1.0
    try:
        if scenario == "rest":
            starts, settle, seconds = (1, 1.0, 3.0) if short else (3, 5.0, 20.0)
            return rest.run(system, rest.RestOptions(starts, settle, seconds, patience, sabotage))
        if scenario == "load":
            wanted = load.LoadOptions(options.generator, rate, plan(options), patience, sabotage)
            return load.run(system, wanted, seed)
        if scenario == "fuzz":
            rounds, requests = options.rounds or (2 if short else 60), 150 if short else 900
            folder = options.folder.resolve() / "registry"
            wished = fuzz.FuzzOptions(options.binary.resolve(), folder, first, rounds, requests, patience, sabotage)
            found = fuzz.run(wished, seed, lambda: interruption.wanted)
            return found.figures() | {"next_round": first + found.finished}, found.complaints
        rounds = options.rounds or (3 if short else 50)
        seen = kills.run(
            system, kills.KillOptions(first, rounds, patience, sabotage), seed, lambda: interruption.wanted
        )
        return seen.figures() | {"next_round": first + seen.finished}, seen.complaints
    except SoakError as error:
        return {}, [f"{error}; `pinnace up` said: {system.last_words()}"]
    except Exception:
        # A defect of the soak itself must not look like a system that holds.
        return {}, [traceback.format_exc()]


def plan(options: argparse.Namespace) -> Plan:
    if options.short:
        return Plan(options.seconds or 15.0, reloads=1, scaled=["catalog", "shipping"], hub_kills=1, kill_every=5.0)
    services = ["catalog", "orders", "storefront", "shipping"]
    return Plan(options.seconds or 60.0, reloads=5, scaled=services, hub_kills=2, kill_every=5.0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="rest, load, kills, fuzz; all of them without it"
    )
    parser.add_argument("--binary", type=Path, required=True, help="pinnace, with its runtime beside it")
    parser.add_argument("--generator", type=Path, required=True, help="pinnace-load")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where the shop is copied to; environments stay there"
    )
    parser.add_argument("--short", action="store_true", help="some seconds each, for CI")
    parser.add_argument("--seed", type=int, default=None, help="[default: the one after the last in the log]")
    parser.add_argument("--rate", type=float, default=None, help="requests a second [default: 150, short 50]")
    parser.add_argument("--seconds", type=float, default=None, help="of the load [default: 60, short 15]")
    parser.add_argument(
        "--rounds", type=int, default=None, help="of kills [default: 50, short 3] or of fuzz [60, short 2]"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the last run, if it was interrupted")
    parser.add_argument("--log", type=Path, default=None, help="the file that a line is added to")
    parser.add_argument("--sabotage", choices=SABOTAGE, default="", help="break one thing, to see the check fail")
    options = parser.parse_args()
    for scenario in options.scenarios:
        if scenario not in SCENARIOS:
            parser.error(f"{scenario} is none of {', '.join(SCENARIOS)}")
    return options


def command() -> str:
    """The command without the machine's own paths."""
    words = [".../" + os.path.basename(word) if word.startswith("/") else word for word in sys.argv[1:]]
    return f"soak.py {shlex.join(words)}"


if __name__ == "__main__":
    sys.exit(main())
