"""Programs of the test's own: started, waited for by their health, and ended with all their children."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

SERVICE = Path(__file__).resolve().parent.parent
START_ATTEMPTS = 400
# A machine that compiles meanwhile is no reason for an order to wait.
PATIENCE_SECONDS = "60"


@contextmanager
def running(command: Sequence[str], port: int, folder: Path, **environment: str) -> Iterator[str]:
    """The program's URL, once `/healthz` is well. At the end it and all its children are killed."""
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, start_new_session=True)
    try:
        _wait_for(url, process)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def orders(database_url: str, catalog_url: str, shipping_url: str, errands: float = 0) -> Iterator[str]:
    """This service, migrated, under gunicorn with several processes and threads; without errands unless told."""
    environment = {
        "DATABASE_URL": database_url,
        "CATALOG_URL": catalog_url,
        "CATALOG_READ_SECONDS": PATIENCE_SECONDS,
        "SHIPPING_URL": shipping_url,
        "SHIPPING_READ_SECONDS": PATIENCE_SECONDS,
        "ERRANDS_SECONDS": str(errands),
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=SERVICE, env={**os.environ, **environment}, check=True)
    port = free_port()
    options = ["--workers", "3", "--threads", "8", "--log-level", "warning", "--no-control-socket"]
    command = [sys.executable, "-m", "gunicorn", "orders.wsgi", "--bind", f"127.0.0.1:{port}", *options]
    with running(command, port, SERVICE, **environment) as url:
        yield url


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(START_ATTEMPTS):
        try:
            if requests.get(f"{url}/healthz", timeout=10).status_code == 200:
                return
        except (requests.ConnectionError, requests.Timeout):
            # Returns as soon as the program ended, else after the pause.
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"{process.args!r} ended with {process.returncode}") from None
    raise AssertionError(f"{url} is not well")
