"""How a system starts: in the order of its calls, with what each service needs, its database first."""

from __future__ import annotations

import functools
import json
import socket
import sqlite3
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harbour import Harbour, Up
from waiting import LONGEST_WAIT, until

Start = Callable[..., Up]

MIGRATION = """
import os, pathlib, sqlite3
assert os.environ["DATABASE_URL"].startswith("sqlite:////"), os.environ["DATABASE_URL"]
with sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///")) as database:
    database.execute("create table if not exists ships (name text)")
    database.execute("insert into ships values ('pinnace')")
print("the tables are there")
"""
READS_DATABASE = """
import os, sqlite3
with sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///")) as database:
    VERSION = database.execute("select name from ships").fetchone()[0]
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": VERSION.encode()})
"""


def test_a_service_starts_once_those_that_it_calls_are_healthy(harbour: Harbour, start: Start) -> None:
    harbour.service("front", calls=["middle"])
    harbour.service("middle", calls=["back"], health="/healthz")
    harbour.service("back", health="/healthz")
    up = start().begun()
    for calling, called in (("middle", "back"), ("front", "middle")):
        # Its server answers and its health path says 503: it is not ready, and whoever calls it waits.
        until(functools.partial(answers, up, called), f"{called} answers")
        assert up.service(called)["state"] == "starting"
        assert up.service(calling)["state"] == "waiting" and up.service(calling)["instances"] == []
        (harbour.folder / f"{called}.healthy").touch()
    up.settled()
    assert [service["state"] for service in up.ps()["services"]] == ["ready"] * 5
    assert up.get("/call?MIDDLE_URL/call?BACK_URL/", "front")[1].startswith("one ")
    assert up.end() == 0


def answers(up: Up, name: str) -> bool:
    return up.service(name)["framework"] is not None and up.get("/", name)[0] == 200


def test_a_hosted_service_has_the_options_of_its_table_and_no_others(harbour: Harbour, start: Start) -> None:
    harbour.service("front", serve={"header": ["X-Frame-Options:DENY"], "max_requests": 1000, "access_log": False})
    # In a system the manifest alone says how services are served.
    up = start("--no-watch", PINNACE_SERVE_HEADER="X-Of-The-Shell:1").settled()
    with urllib.request.urlopen(up.service("front")["url"], timeout=LONGEST_WAIT) as response:
        assert response.headers["x-frame-options"] == "DENY"
        assert "x-of-the-shell" not in response.headers
    assert up.end() == 0


def test_a_service_finds_the_variables_that_its_libraries_know(harbour: Harbour, start: Start) -> None:
    harbour.add('[engines]\namqp = "amqp://guest@127.0.0.1:5672"\nkafka = "kafka://127.0.0.1:9092"\n')
    keys: dict[str, Any] = {
        "database": {"engine": "sqlite"},
        "env": {"CURRENCY": "EUR"},
        "secrets": ["STRIPE_KEY", "OTHER_KEY"],
    }
    harbour.service("front-desk", calls=["back-office"], **keys)
    harbour.program("back-office")
    (harbour.folder / ".env").write_text('export STRIPE_KEY="of the file"\nOTHER_KEY=of the file\n')
    up = start("--no-watch", OTHER_KEY="of the shell", PINNACE_HUB_TOKEN="x" * 32, PYTHONPATH="/nowhere").settled()
    found = json.loads(up.get("/environment", "front-desk")[1])
    database = harbour.folder / ".pinnace/data/front-desk/db.sqlite3"
    expected = {
        "PORT": up.service("front-desk")["url"].rsplit(":")[-1],
        "BACK_OFFICE_URL": up.service("back-office")["url"],
        "DATABASE_URL": f"sqlite:///{database}",
        "AMQP_URL": "amqp://guest@127.0.0.1:5672",
        "CELERY_BROKER_URL": "amqp://guest@127.0.0.1:5672",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "OTEL_SERVICE_NAME": "front-desk",
        "PINNACE_SERVICE": "front-desk",
        "PINNACE_INSTANCE": "front-desk-1",
        "VIRTUAL_ENV": sys.prefix,
        "PYTHONUNBUFFERED": "1",
        "CURRENCY": "EUR",
        "STRIPE_KEY": "of the file",
        "OTHER_KEY": "of the shell",
        "folder": str(harbour.folder / "front-desk"),
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["PATH"].startswith(f"{sys.prefix}/bin:")
    assert not {"PINNACE_HUB_TOKEN", "PYTHONPATH", "PYTHONHOME", "FRONT_DESK_URL"} & found.keys()
    assert database.parent.stat().st_mode & 0o777 == 0o700
    # A program gets the port that it has to bind, and nobody's secrets.
    program = json.loads(up.get("/", "back-office")[1])
    assert up.service("back-office")["url"].endswith(f":{program['PORT']}")
    assert not {"DATABASE_URL", "STRIPE_KEY", "CURRENCY"} & program.keys()
    assert not up.says("of the file|of the shell"), "secrets are never shown"
    assert up.end() == 0


def test_a_database_is_brought_up_to_date_before_its_service_starts(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("ships", database={"engine": "sqlite", "migrate": "python migrate.py"})
    (folder / "migrate.py").write_text(MIGRATION)
    (folder / "main.py").write_text(READS_DATABASE)
    up = start().settled()
    assert up.get("/", "ships") == (200, "pinnace")
    assert "the tables are there" in up.command("logs", "ships").stdout
    assert up.end() == 0
    up = start("--no-migrate").settled()
    assert up.end() == 0
    with sqlite3.connect(harbour.folder / ".pinnace/data/ships/db.sqlite3") as database:
        assert database.execute("select count(*) from ships").fetchone() == (1,), "the second start ran no migration"


def test_a_failed_migration_is_shown_with_its_last_lines_and_has_an_exit_code(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("ships", database={"engine": "sqlite", "migrate": "python migrate.py"})
    (folder / "migrate.py").write_text(MIGRATION + "raise SystemExit('a leak in table ships')\n")
    up = start("--strict")
    assert up.wait() == 7, up.text
    assert up.says("the migration failed: `python migrate.py` ended with exit code 1")
    assert up.says("a leak in table ships") and up.says("hint"), up.text


def test_ports_stay_the_same_over_starts(harbour: Harbour, start: Start) -> None:
    harbour.service("front")
    harbour.program("back")
    urls = []
    for _ in range(2):
        up = start().settled()
        urls.append([service["url"] for service in up.ps()["services"]])
        assert up.end() == 0
    assert urls[0] == urls[1]
    # One that somebody else has taken meanwhile is given up for another.
    with socket.create_server(("127.0.0.1", int(urls[0][2].rsplit(":")[-1]))):
        up = start().settled()
        after = [service["url"] for service in up.ps()["services"]]
        assert up.end() == 0
    assert after[:2] == urls[0][:2] and after[2] != urls[0][2]


def test_damaged_files_of_an_earlier_run_are_put_aside(harbour: Harbour, start: Start) -> None:
    harbour.service("front", route="/", database={"engine": "sqlite"})
    up = start().settled()
    assert up.end() == 0
    state = harbour.folder / ".pinnace"
    names = {path for path in state.rglob("*") if path.is_file() and path.name not in ("FORMAT", "lock")}
    assert {"ports.json", "hub-token", "registry.db", "gateway.json"} <= {path.name for path in names}
    for path in names:
        path.write_bytes(b"\0{no longer what it was" * 20)
    up = start().settled()
    assert up.get("/")[0] == 200
    assert up.hub("/api/v1/registry/services/front")["instances"], "the hub is usable, with a new token"
    assert all(service["state"] == "ready" for service in up.ps()["services"])
    assert list(state.glob("data/hub/registry.db.damaged-*")), "nothing is deleted"
    assert up.end() == 0


def test_two_systems_side_by_side_do_not_meet(
    binary: Path, harbour: Harbour, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_harbour = Harbour(tmp_path_factory.mktemp("other"))
    other_harbour.service("front", route="/", env={"WHOSE": "other"})
    harbour.service("front", route="/", env={"WHOSE": "own"})
    own = start().settled()
    other = Up(binary, other_harbour.folder)
    try:
        other.settled()
        for up, whose in ((own, "own"), (other, "other")):
            assert json.loads(up.get("/environment")[1])["WHOSE"] == whose
        assert other.end() == 0
        assert own.get("/")[0] == 200 and own.end() == 0
    finally:
        other.close()


def test_it_is_started_from_a_folder_below_and_keeps_its_state_beside_the_manifest(
    harbour: Harbour, start: Start
) -> None:
    folder = harbour.service("front", route="/")
    root, harbour.folder = harbour.folder, folder
    up = start().settled()
    assert up.ps()["root"] == str(root) and up.get("/")[0] == 200
    state = root / ".pinnace"
    assert state.stat().st_mode & 0o777 == 0o700 and (state / ".gitignore").read_text() == "*\n"
    assert not (folder / ".pinnace").exists()
    assert up.end() == 0
