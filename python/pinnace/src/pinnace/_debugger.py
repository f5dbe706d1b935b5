"""What `breakpoint()` does in a worker, and how the parent learns that a debugger is at work.

With one worker and a terminal the debugger talks to whoever sits there. Elsewhere nobody would answer: then a
breakpoint is passed over and the log says where it stands and what to do.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from pinnace._control import Control

# Debuggers of editors: once one of them is imported, somebody may hold the process at any moment.
DEBUGGERS = frozenset({"debugpy", "pydevd", "pydevd_pycharm"})
WHY = {
    "several-workers": "several workers cannot share a terminal: start with `--workers 1` on a terminal",
    "no-terminal": "this service has no terminal: start it alone on one, with `pinnace serve` and one worker",
}


class DebuggerFinder(MetaPathFinder):
    """Finds nothing; it only sees that a debugger is about to be imported."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Tells the parent, and leaves the import to the others."""
        if fullname in DEBUGGERS:
            self._control.debugging(f"`{fullname}` was imported")
        return None


def prepare_for_debuggers(debugger: str, control: Control, logger: logging.Logger) -> None:
    """Has `breakpoint()` do what is possible here."""
    sys.meta_path.insert(0, DebuggerFinder(control))
    original = sys.breakpointhook
    told: set[tuple[str, int]] = set()

    def hook(*arguments: Any, **keywords: Any) -> Any:
        # PYTHONBREAKPOINT names another debugger, or none: that is its user's choice.
        is_pdb = os.environ.get("PYTHONBREAKPOINT", "") in ("", "pdb.set_trace")
        frame = sys._getframe(1)
        place = (frame.f_code.co_filename, frame.f_lineno)
        if is_pdb and debugger != "terminal":
            if place not in told:
                told.add(place)
                logger.warning(
                    "breakpoint() at %s:%d is passed over: %s; or attach an editor's debugger with debugpy",
                    *place,
                    WHY.get(debugger, WHY["no-terminal"]),
                )
            return None
        if os.environ.get("PYTHONBREAKPOINT") != "0":
            control.debugging(f"breakpoint() at {place[0]}:{place[1]}")
        if is_pdb:
            # Called from here, the debugger would stop in this function and not where the breakpoint stands.
            import pdb

            pdb.Pdb(nosigint=True).set_trace(frame)
            return None
        return original(*arguments, **keywords)

    sys.breakpointhook = hook
