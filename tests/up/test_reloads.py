"""A change of a service's files reloads that service alone, and no request is lost by it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from harbour import Harbour, Up, edit
from load import Load
from waiting import until

Start = Callable[..., Up]


@pytest.fixture
def up(harbour: Harbour, start: Start) -> Iterator[Up]:
    harbour.service("front", route="/", calls=["back"])
    harbour.service("back", "wsgi_app.py", route="/back", workers=2)
    up = start().settled()
    yield up
    assert up.end() == 0


@pytest.mark.parametrize(("name", "other", "path"), [("front", "back", "/"), ("back", "front", "/back")])
def test_a_change_reloads_that_service_alone_and_no_request_fails(
    harbour: Harbour, up: Up, name: str, other: str, path: str
) -> None:
    before, undisturbed = up.workers(name), up.workers(other)
    main = harbour.folder / name / "main.py"
    with Load(up, name, path) as load:
        load.until_answered_by("one")
        for old, new in (("one", "second"), ("second", "the-third")):
            edit(main, f'VERSION = "{old}"', f'VERSION = "{new}"')
            load.until_answered_by(new)
    up.wait_for(rf"{name} +\| pinnace: main\.py changed: reloading")
    until(lambda: not up.workers(name) & before, "the old workers have ended")
    assert up.workers(other) == undisturbed and up.service(other)["restarts"] == up.service(name)["restarts"] == 0
    assert not up.says(rf"{other} +\| pinnace: .*reload")


def test_a_broken_change_keeps_the_old_workers_and_says_so(harbour: Harbour, up: Up) -> None:
    main = harbour.folder / "front/main.py"
    before = up.workers("front")
    with Load(up, "front", "/") as load:
        load.until_answered_by("one")
        edit(main, 'VERSION = "one"', "import nothing_of_that_name")
        up.wait_for("No module named 'nothing_of_that_name'")
        up.wait_for("the old workers go on; save a change to try again")
        until(lambda: up.workers("front") == before, "the new worker has ended, the old ones go on")
        assert "nothing_of_that_name" in up.service("front")["reason"]
        load.until_answered_by("one")
        edit(main, "import nothing_of_that_name", 'VERSION = "mended"')
        load.until_answered_by("mended")
    assert up.service("front")["reason"] is None


def test_whoever_looks_after_a_reload_sees_the_new_code(harbour: Harbour, start: Start) -> None:
    harbour.service("front", route="/")
    # At this level the gateway tells when it has heard of a change.
    up = start(PINNACE_LOG="debug").settled()
    # Now it holds a connection to the old workers, which answer on it for a while.
    assert up.get("/")[1].startswith("one ")
    heard = tables(up)
    edit(harbour.folder / "front/main.py", 'VERSION = "one"', 'VERSION = "second"')
    up.wait_for("reloaded in")
    until(lambda: tables(up) > heard, "the gateway has heard of it")
    assert up.get("/")[1].startswith("second ")
    assert up.end() == 0


def tables(up: Up) -> int:
    return up.command("logs", "gateway").stdout.count("table read again")


def test_a_change_during_a_reload_is_not_forgotten(harbour: Harbour, up: Up) -> None:
    main = harbour.folder / "front/main.py"
    with Load(up, "front", "/") as load:
        versions = ["one", "two-2", "three-3", "four-and-4", "five-and-more-5"]
        for seen, (old, new) in enumerate(itertools.pairwise(versions), start=1):
            edit(main, f'VERSION = "{old}"', f'VERSION = "{new}"')
            # The change is noticed, its reload is not awaited.
            until(functools.partial(has_told, up, seen), "the change is told")
        load.until_answered_by("five-and-more-5")


def has_told(up: Up, changes: int) -> bool:
    return sum("main.py changed" in line for line in up.lines) >= changes


def test_files_that_do_not_count_reload_nothing(harbour: Harbour, up: Up) -> None:
    folder = harbour.folder / "front"
    (folder / ".gitignore").write_text("ignored.txt\n")
    until(lambda: up.says("changed: reloading"), "the list itself counts")
    until(lambda: up.is_in("front", "ready"), "it is reloaded")
    before = up.workers("front")
    for name in ("ignored.txt", "db.sqlite3", "main.pyc", ".main.py.swp", "notes.log"):
        (folder / name).write_text("x\n")
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__/x.pyc").write_text("x\n")
    # What counts is told after what does not, so that its reload is the only one.
    (folder / "counts.txt").write_text("x\n")
    up.wait_for(r"counts\.txt changed: reloading")
    until(lambda: up.is_in("front", "ready") and not up.workers("front") & before, "it is reloaded")
    assert sum("changed" in line for line in up.lines) == 2, up.text


def test_a_change_of_many_files_is_looked_at_as_if_everything_had_changed(harbour: Harbour, start: Start) -> None:
    migrate = {"engine": "sqlite", "migrate": "echo the tables are there"}
    folder = harbour.service("front", route="/", database=migrate)
    up = start().settled()
    before = up.leader("front")
    # As a change of branches does; the migration is the last of many.
    for number in range(40):
        (folder / f"module_{number}.py").write_text("x = 1\n")
    (folder / "migrations").mkdir()
    (folder / "migrations/0002_more.py").write_text("x = 1\n")
    up.wait_for("much has changed: restarting")
    until(lambda: up.is_in("front", "ready") and up.service("front")["instances"][0]["pid"] != before, "a new one")
    assert up.command("logs", "front").stdout.count("| the tables are there") >= 2
    assert up.end() == 0


def test_a_program_is_ended_and_started_anew_when_its_files_change(harbour: Harbour, start: Start) -> None:
    folder = harbour.program("program", route="/")
    up = start().settled()
    before = up.leader("program")
    edit(folder / "program.py", 'VERSION = "one"', 'VERSION = "second"')
    up.wait_for(r"program\.py changed: restarting")
    until(lambda: '"VERSION": "second"' in up.get("/")[1], "the new code answers")
    assert up.leader("program") != before and up.service("program")["restarts"] == 0
    assert up.end() == 0


def test_a_program_that_falls_at_its_start_is_tried_again_and_whoever_waits_is_told(
    harbour: Harbour, start: Start
) -> None:
    folder = harbour.program("program", route="/")
    up = start("--no-watch").settled()
    edit(folder / "program.py", 'VERSION = "one"', "import nothing_of_that_name")
    ended = up.command("restart", "program")
    assert ended.returncode == 8 and "nothing_of_that_name" in ended.stderr, ended
    edit(folder / "program.py", "import nothing_of_that_name", 'VERSION = "mended"')
    until(lambda: '"VERSION": "mended"' in up.get("/")[1], "it is tried until it runs")
    assert up.command("restart", "program").returncode == 0
    assert up.end() == 0


def test_without_watching_nothing_is_reloaded(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("front", route="/")
    up = start("--no-watch").settled()
    edit(folder / "main.py", 'VERSION = "one"', 'VERSION = "second"')
    assert up.command("logs", "front").returncode == 0
    assert up.get("/")[1].startswith("one ")
    assert up.command("restart", "front").returncode == 0
    until(lambda: up.get("/")[1].startswith("second "), "the new code answers")
    assert up.end() == 0 and not up.says("changed")


@pytest.mark.parametrize("wish", [("restart", "front"), ("scale", "front=3")])
def test_what_does_not_import_is_refused_and_the_old_instances_go_on(
    harbour: Harbour, start: Start, wish: tuple[str, str]
) -> None:
    folder = harbour.service("front", route="/")
    up = start("--no-watch").settled()
    leader = up.leader("front")
    with Load(up, "front", "/") as load:
        load.until_answered_by("one")
        edit(folder / "main.py", 'VERSION = "one"', "import nothing_of_that_name")
        ended = up.command(*wish)
        assert ended.returncode == 8 and "nothing_of_that_name" in ended.stderr, ended
        load.until_answered_by("one")
        until(lambda: len(up.service("front")["instances"]) == 1, "what did not start has ended")
        assert up.leader("front") == leader and up.is_in("front", "ready")
        edit(folder / "main.py", "import nothing_of_that_name", 'VERSION = "mended"')
        assert up.command("restart", "front").returncode == 0
        load.until_answered_by("mended")
    assert len([one for one in up.service("front")["instances"] if one["state"] == "ready"]) == 1
    assert up.end() == 0


def test_changes_restarts_and_scaling_at_once_fail_no_request(harbour: Harbour, start: Start) -> None:
    main = harbour.service("front", route="/", workers=2) / "main.py"
    up = start().settled()
    versions = [f"version-{'x' * length}" for length in range(1, 7)]
    with Load(up, "front", "/") as load, ThreadPoolExecutor() as terminals:
        load.until_answered_by("one")
        old = "one"
        wishes = []
        for number, new in zip((3, 1, 4, 2, 3, 1), versions, strict=True):
            edit(main, f'VERSION = "{old}"', f'VERSION = "{new}"')
            old = new
            # None waits for another, as from several terminals.
            wishes += [terminals.submit(up.command, "scale", f"front={number}")]
            wishes += [terminals.submit(up.command, "restart", "front")]
        assert [wish.result().returncode for wish in wishes] == [0] * len(wishes)
        load.until_answered_by(versions[-1])
    until(lambda: up.is_in("front", "ready"), "it is ready")
    assert len([one for one in up.service("front")["instances"] if one["state"] == "ready"]) in (1, 2, 3, 4)
    assert up.service("front")["restarts"] == 0 and up.end() == 0


def test_of_too_many_instances_those_that_answer_stay(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("front", route="/")
    up = start("--no-watch").settled()
    # After a restart the one that answers has a higher number than the next one that starts.
    assert up.command("restart", "front").returncode == 0
    until(lambda: len(up.service("front")["instances"]) == 1, "the former one has ended")
    leader = up.leader("front")
    with Load(up, "front", "/") as load, ThreadPoolExecutor() as terminals:
        edit(folder / "main.py", 'VERSION = "one"', "import time; time.sleep(1000)")
        more = terminals.submit(up.command, "scale", "front=2")
        until(lambda: len(up.service("front")["instances"]) == 2, "one starts beside it")
        assert up.command("scale", "front=1").returncode == 0
        until(lambda: len(up.service("front")["instances"]) == 1, "the one that never answered has ended")
        assert up.leader("front") == leader
        assert more.result().returncode == 0, "whoever asked for two is answered with what there is"
        load.until_answered_by("one")
    assert up.end() == 0
