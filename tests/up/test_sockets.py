"""Programs of any kind that take their listening sockets from `up` (`socket_activation`).

They are gunicorn and the example of the crate `pinnace`. They scale, and are replaced without a refused connection.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from harbour import Harbour, Up, edit
from load import Load
from waiting import LONGEST_WAIT, until

Start = Callable[..., Up]

GUNICORN = (sys.executable, "-m", "gunicorn", "main:app", "--workers", "2", "--graceful-timeout", "10")


@pytest.fixture
def gunicorn(harbour: Harbour) -> Path:
    """A WSGI application under gunicorn, which knows systemd's protocol and nothing of Pinnace."""
    folder = harbour.program("ledger", *GUNICORN, socket_activation=True, health="/", route="/")
    source = (Path(__file__).parent / "apps/wsgi_app.py").read_text()
    (folder / "main.py").write_text(source)
    return folder


def ask(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LONGEST_WAIT) as answer:
        text: str = answer.read().decode()
        return text


def ports(up: Up, name: str) -> list[int]:
    return [instance["port"] for instance in up.service(name)["instances"] if instance["state"] == "ready"]


def is_gone(up: Up, pid: int) -> bool:
    return all(instance["pid"] != pid for instance in up.service("ledger")["instances"])


def test_gunicorn_scales_restarts_and_changes_without_a_failed_request(gunicorn: Path, start: Start) -> None:
    up = start().settled()
    with Load(up, "ledger", "/") as load:
        scaled = up.command("scale", "ledger=3")
        assert (scaled.returncode, scaled.stderr) == (0, ""), scaled.stderr
        seen = len(load.answers)
        until(lambda: len({answer.split()[1] for answer in load.answers[seen:]}) > 2, "more than one instance answers")
        restarted = up.command("restart", "ledger")
        assert restarted.returncode == 0, restarted.stderr
        edit(gunicorn / "main.py", '"one"', '"second"')
        load.until_answered_by("second")
        assert up.command("scale", "ledger=1").returncode == 0
        until(lambda: len(ports(up, "ledger")) == 1, "two of them have left")
        load.until_answered_by("second")


def test_each_instance_answers_on_a_port_of_its_own(gunicorn: Path, start: Start) -> None:
    up = start().settled()
    assert up.command("scale", "ledger=2").returncode == 0
    own = ports(up, "ledger")
    shared = int(up.service("ledger")["url"].rsplit(":", 1)[1])
    assert len({*own, shared}) == 3
    workers = [{ask(port).split()[1] for _ in range(20)} for port in own]
    assert workers[0] and not workers[0] & workers[1], "each port leads to one instance's workers"


def test_a_connection_waits_for_the_next_process_rather_than_being_refused(gunicorn: Path, start: Start) -> None:
    up = start().settled()
    url = up.service("ledger")["url"]
    for _ in range(2):
        guard = up.leader("ledger")
        os.kill(guard, signal.SIGKILL)
        until(partial(is_gone, up, guard), "the guard and its family are gone")
        with urllib.request.urlopen(url, timeout=LONGEST_WAIT) as answer:
            assert answer.status == 200
        up.until_in("ledger", "ready")


def test_a_program_that_never_answers_is_given_up_and_its_callers_are_refused(harbour: Harbour, start: Start) -> None:
    harbour.program("ledger", "sleep", "600", socket_activation=True, health="/", ready_timeout="1s")
    up = start().settled()
    service = up.until_in("ledger", "failed")
    assert service["reason"] == "not ready after 1s (`/` has to answer with 2xx); `ready_timeout` gives it longer"
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(service["url"], timeout=LONGEST_WAIT)


def test_a_rust_service_scales_and_is_replaced_without_a_failed_request(
    harbour: Harbour, shipping: str, start: Start
) -> None:
    harbour.program("shipping", shipping, socket_activation=True, health="/-/health/ready", route="/shipments")
    up = start().settled()
    with Load(up, "shipping", "/shipments", "GET") as load:
        assert up.command("scale", "shipping=2").returncode == 0
        pids = {json.loads(ask(port, "/-/info"))["pid"] for port in ports(up, "shipping")}
        assert len(pids) == 2
        assert up.command("restart", "shipping").returncode == 0
        after = {json.loads(ask(port, "/-/info"))["pid"] for port in ports(up, "shipping")}
        assert len(after) == 2 and not pids & after
        seen = len(load.answers)
        until(lambda: len(load.answers) > seen + 20, "the new ones answer")
    assert up.end() == 0


def test_a_program_that_binds_its_own_port_is_told_what_would_let_it_scale(harbour: Harbour, start: Start) -> None:
    harbour.program("rates")
    up = start().settled()
    refused = up.command("scale", "rates=2")
    assert refused.returncode != 0
    assert re.search(r"it is a program that binds its own port; .*`socket_activation`", refused.stderr), refused.stderr
