"""The worker process: `python -m pinnace._worker`, started by `pinnace serve` and by nobody else.

It imports the application, serves it on sockets that it inherits, and does what the control socket says. Signals that
are meant for the whole process group are left to the parent.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import json
import logging
import os
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinnace._control import Control, StartFailure, end_at_once

if TYPE_CHECKING:
    import asyncio

    from pinnace._application import Found

ENVIRONMENT = "PINNACE_WORKER"
PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Runs the worker until it is told to drain."""
    text = os.environ.pop(ENVIRONMENT, None)
    if text is None:
        print(f"pinnace._worker is started by `pinnace serve`: {ENVIRONMENT} is not set", file=sys.stderr)
        return 2
    config: dict[str, Any] = json.loads(text)
    control = Control(config["control_fd"])
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A line that the application prints is seen at once, and not lost with a worker that is killed.
        sys.stdout.reconfigure(line_buffering=True)
    # Whoever ends by a fault, or is ended because it no longer answers, says first where its threads stand.
    faulthandler.enable()
    try:
        _leave_signals_to_the_parent()
        _run(text, config, control)
    except StartFailure as failure:
        control.failed(failure)
        return 1
    control.stopped()
    return 0


def _leave_signals_to_the_parent() -> None:
    """Ignores what a terminal or the parent's parent sends to the group.

    A handler that does nothing, and not SIG_IGN: the latter would be inherited by every program that the application
    starts. A forked child gets the defaults back, so that `multiprocessing` can end it.
    """
    for number in PARENTS_SIGNALS:
        signal.signal(number, _do_nothing)
    os.register_at_fork(after_in_child=_restore_signals)


def _do_nothing(_number: int, _frame: object) -> None:
    pass


def _restore_signals() -> None:
    for number in PARENTS_SIGNALS:
        if signal.getsignal(number) is _do_nothing:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _run(text: str, config: dict[str, Any], control: Control) -> None:
    native = _native(config)
    from pinnace._application import load
    from pinnace._debugger import prepare_for_debuggers
    from pinnace._logging import configure
    from pinnace._loop import close_event_loop, new_event_loop

    for descriptor in config["listen_fds"]:
        os.set_inheritable(descriptor, False)
    logger = configure(config["log_format"], config["service"], config.get("log_level", "info"))
    prepare_for_debuggers(config.get("debugger", "no-terminal"), control, logger)
    worker = native.Worker(text)
    reactor = native.Reactor()
    # The loop exists before the application is imported: some make futures or locks at import.
    loop = new_event_loop(reactor)
    try:
        folder = Path(config["app_dir"]).resolve()
        sys.path.insert(0, str(folder))
        if (folder / "src").is_dir():
            sys.path.insert(1, str(folder / "src"))
        found = load(config["target"], folder, config["interface"], factory=config.get("factory", False))
        control.loaded(
            target=found.target,
            interface=found.detected.interface,
            framework=found.detected.framework,
            python=f"{platform.python_implementation()} {platform.python_version()}",
        )
        # What the import has made lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        loop.run_until_complete(_serve(found, config, control, worker, reactor, loop, logger))
    finally:
        try:
            close_event_loop(loop)
        finally:
            reactor.close()


async def _serve(
    found: Found,
    config: dict[str, Any],
    control: Control,
    worker: Any,
    reactor: Any,
    loop: asyncio.AbstractEventLoop,
    logger: logging.Logger,
) -> None:
    framework = found.detected.framework
    if found.detected.interface == "wsgi":
        drained = worker.serve_wsgi(reactor, loop, found.application, logger=logger, framework=framework)
        control.ready()
        await drained
        return
    from pinnace._lifespan import Lifespan

    lifespan = Lifespan(found.application, config["lifespan"])
    await lifespan.startup()
    drained = worker.serve_asgi(
        reactor, loop, found.application, state=lifespan.state, logger=logger, framework=framework
    )
    control.ready()
    await drained
    worker.cancel_applications()
    await lifespan.shutdown()


def _native(config: dict[str, Any]) -> Any:
    """The extension module, if it is there for this interpreter and of the parent's version."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    try:
        from pinnace_runtime import _native
    except ImportError as error:
        raise StartFailure(
            "interpreter",
            f"there is no Pinnace runtime for {python} ({sys.executable})",
            detail=[str(error)],
            hint="use another interpreter with --python, or install `pinnace-runtime` into this environment",
        ) from None
    if config["version"] != _native.VERSION:
        raise StartFailure(
            "interpreter",
            f"the runtime has version {_native.VERSION} and its parent {config['version']}",
            hint="install the same version of `pinnace` and `pinnace-runtime`",
        )
    return _native


if __name__ == "__main__":
    try:
        code = main()
    except BrokenPipeError:
        end_at_once()
    sys.exit(code)
