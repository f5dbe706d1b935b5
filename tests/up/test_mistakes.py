"""What goes wrong is told with a way out and an exit code, and damages nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harbour import Harbour, Up, edit
from processes import lives
from waiting import until

Start = Callable[..., Up]

STUBBORN = "trap '' TERM; echo $$ > ../pid; while :; do sleep 0.1; done"


def test_an_application_that_does_not_import_shows_its_last_lines_and_the_others_go_on(
    harbour: Harbour, start: Start
) -> None:
    folder = harbour.service("broken", route="/broken")
    (folder / "main.py").write_text("import json\n\nimport nothing_of_that_name\n")
    harbour.service("whole", calls=["broken"])
    up = start().settled()
    up.wait_for(r"main\.py.*line 3")
    up.wait_for("No module named 'nothing_of_that_name'")
    assert "importlib" not in up.text and "_worker.py" not in up.text, "none of our own lines"
    assert up.service("broken")["state"] == "failed" and "nothing_of_that_name" in up.service("broken")["reason"]
    assert up.get("/", "whole")[0] == 200
    answer = up.request("/broken")
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
    assert up.end() == 11
    assert up.says("error: `broken` was never ready"), up.text


def test_an_application_that_does_not_import_is_started_again_once_it_is_mended(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("broken", route="/")
    edit(folder / "main.py", 'VERSION = "one"', "import nothing_of_that_name")
    up = start().settled()
    assert up.service("broken")["state"] == "failed"
    edit(folder / "main.py", "import nothing_of_that_name", 'VERSION = "mended"')
    up.until_in("broken", "ready")
    assert up.get("/")[1].startswith("mended ")
    assert up.end() == 0


def test_with_strict_an_application_that_does_not_import_ends_it_at_once(harbour: Harbour, start: Start) -> None:
    folder = harbour.service("broken")
    (folder / "main.py").write_text("import nothing_of_that_name\n")
    harbour.service("whole")
    up = start("--strict")
    assert up.wait() == 11, up.text
    assert up.says("No module named 'nothing_of_that_name'"), up.text


def test_a_service_that_is_never_healthy_ends_a_strict_system(harbour: Harbour, start: Start) -> None:
    harbour.service("ill", health="/healthz", ready_timeout="1s")
    up = start("--strict")
    assert up.wait() == 8, up.text
    assert up.says("error: `ill` was never ready: not ready after .*`/healthz`.*`ready_timeout`"), up.text


def test_a_program_that_never_listens_is_not_ready(harbour: Harbour, start: Start) -> None:
    harbour.program("deaf", "sleep", "1000", ready_timeout="1s")
    up = start("--strict")
    assert up.wait() == 8, up.text
    assert up.says("`deaf` was never ready: not ready after 1s"), up.text


def test_a_program_that_ignores_sigterm_is_killed_after_its_stop_timeout(harbour: Harbour, start: Start) -> None:
    harbour.program("stubborn", "sh", "-c", STUBBORN, port=False, stop_timeout="300ms")
    up = start().settled()
    up.until_in("stubborn", "ready")
    pid = int((harbour.folder / "pid").read_text())
    assert lives(pid)
    assert up.end() == 0
    assert not lives(pid)


def test_an_application_that_does_not_end_is_killed_after_its_stop_timeout(harbour: Harbour, start: Start) -> None:
    harbour.service("slow", stop_timeout="300ms")
    up = start().settled()
    connection = up.connect("slow")
    connection.request("GET", "/slow")
    until((harbour.folder / "slow.begun").exists, "the request has begun")
    assert up.end() == 0
    connection.close()


def test_a_gateway_port_in_use_is_named_with_the_way_out(harbour: Harbour, start: Start) -> None:
    harbour.service("front")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        up = start("--gateway", f"127.0.0.1:{port}")
        assert up.wait() == 5, up.text
    assert up.says(f"error: gateway cannot listen on 127.0.0.1:{port}") and up.says("hint: .*--gateway"), up.text


def test_a_second_up_in_the_same_folder_is_refused_and_the_first_goes_on(harbour: Harbour, start: Start) -> None:
    harbour.service("front")
    first = start().settled()
    before = first.ps()
    second = start()
    assert second.wait() == 9, second.text
    assert second.says(f"error: .*process {first.process.pid}") and second.says("hint"), second.text
    assert first.ps() == before and first.get("/", "front")[0] == 200
    assert first.end() == 0


def test_a_missing_secret_is_named_before_anything_starts(harbour: Harbour, start: Start) -> None:
    harbour.service("front", secrets=["STRIPE_KEY", "OTHER_KEY"])
    up = start(OTHER_KEY="known")
    assert up.wait() == 1, up.text
    assert up.says("error: a secret of `front` not set: STRIPE_KEY") and up.says(r"hint: .*\.env"), up.text
    assert not (harbour.folder / ".pinnace").exists()


def test_what_is_not_enforced_is_refused_with_its_place(harbour: Harbour, start: Start) -> None:
    harbour.service("front", callers=["gateway"])
    harbour.add('[service.front.limits]\ntimeout = "1s"\n')
    up = start()
    assert up.wait() == 4, up.text
    assert "pinnace.toml:6:11" in up.text and "`callers` is not enforced" in up.text, up.text
    assert "`limits` is not enforced" in up.text and "hint" in up.text, "each is told, not only the first"
    assert not (harbour.folder / ".pinnace").exists()


def test_mistakes_in_the_manifest_are_told_with_places_and_the_nearest_key(harbour: Harbour, start: Start) -> None:
    harbour.service("front", rout="/")
    harbour.service("back", workers="two")
    up = start()
    assert up.wait() == 3, up.text
    assert "pinnace.toml:6:1" in up.text and "did you mean `route`?" in up.text, up.text
    assert "pinnace.toml:10:11" in up.text and "`workers` is a whole number" in up.text, "each is told"


def test_a_call_of_an_unknown_service_names_the_nearest(harbour: Harbour, start: Start) -> None:
    harbour.service("front", calls=["bakc"])
    harbour.service("back")
    up = start()
    assert up.wait() == 3 and "pinnace.toml:6:10" in up.text and "`back`" in up.text, up.text


def test_without_a_manifest_it_is_said_where_it_was_looked_for(harbour: Harbour, start: Start) -> None:
    up = start()
    assert up.wait() == 3 and up.says("pinnace.toml") and up.says("hint"), up.text


def test_the_state_of_a_newer_version_is_refused_and_left_as_it_is(harbour: Harbour, start: Start) -> None:
    harbour.service("front")
    state = harbour.folder / ".pinnace"
    state.mkdir()
    (state / "FORMAT").write_text("99\n")
    up = start()
    assert up.wait() == 13 and up.says("newer version of pinnace") and up.says("hint"), up.text
    assert (state / "FORMAT").read_text() == "99\n" and not (state / "envs").exists()


@pytest.fixture
def small_disk(harbour: Harbour) -> Iterator[Path]:
    """A disk of 256 KiB under `.pinnace`."""
    state = harbour.folder / ".pinnace"
    state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(state)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk needs the right to mount one (run as root): {mounted.stderr.strip()}")
    yield state
    subprocess.run(["umount", "--lazy", str(state)], check=True)


def fill(file: Path) -> None:
    with pytest.raises(OSError), file.open("wb", buffering=0) as filling:
        while True:
            filling.write(b"x" * 512)


def test_a_full_disk_is_told_and_damages_nothing(harbour: Harbour, start: Start, small_disk: Path) -> None:
    migrate = 'python -c \'import os; open(os.environ["DATABASE_URL"][10:], "x").write("kept")\''
    harbour.service("front", route="/", database={"engine": "sqlite", "migrate": migrate})
    up = start().settled()
    assert up.end() == 0
    names = {path for path in small_disk.rglob("*") if path.is_file()}
    filling = small_disk / "filling"
    fill(filling)
    up = start("--no-migrate")
    assert up.wait() == 13, up.text
    assert up.says("error: .*No space left") and up.says("hint: free space"), up.text
    filling.unlink()
    assert {path for path in small_disk.rglob("*") if path.is_file()} >= names - {small_disk / "run/up.json"}
    up = start("--no-migrate").settled()
    assert up.get("/")[0] == 200
    assert (small_disk / "data/front/db.sqlite3").read_text() == "kept"
    # A disk that fills up while it runs costs log lines in files, and nothing else.
    fill(filling)
    edit(harbour.folder / "front/main.py", 'VERSION = "one"', 'VERSION = "second"')
    up.wait_for("reloaded in")
    until(lambda: up.get("/")[1].startswith("second "), "the new code answers")
    hub = up.leader("hub")
    os.kill(hub, signal.SIGKILL)
    up.wait_for(r"hub +\| pinnace: ended with signal 9")
    assert up.get("/")[0] == 200 and up.is_in("front", "ready"), "nobody needs the hub for a request"
    filling.unlink()
    up.until_in("hub", "ready")
    assert sum("log files cannot be written" in line for line in up.lines) <= 1, "told once"
    assert not up.says("ended with exit code 13: hint"), "the reason is told, not the way out"
    assert up.end() == 0


def test_a_disk_that_is_too_small_for_an_environment_is_told(harbour: Harbour, start: Start, small_disk: Path) -> None:
    harbour.service("front", venv=None)
    up = start("--strict")
    assert up.wait() == 13, up.text
    assert up.says("error: .*the disk is full") and up.says("hint: .*free some space"), up.text


def test_rights_that_lack_are_told(harbour: Harbour, start: Start) -> None:
    harbour.service("front")
    # A file where the folder should be is something that root cannot write into either.
    (harbour.folder / ".pinnace").write_text("not a folder\n")
    up = start()
    assert up.wait() == 13 and up.says(r"error: cannot use `.*\.pinnace") and up.says("hint"), up.text
    assert (harbour.folder / ".pinnace").read_text() == "not a folder\n"
    assert os.listdir(harbour.folder / "front") == ["main.py"]
