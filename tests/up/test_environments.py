"""Environments: made from the files that say what is in them, kept while those stay the same.

All packages come from a folder beside the system, so that no index is asked.
"""

from __future__ import annotations

import base64
import hashlib
import signal
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

from harbour import Harbour, Up, edit
from load import Load
from waiting import until

Start = Callable[..., Up]

APPLICATION = """
import tiny, sys
VERSION = tiny.VERSION
async def app(scope, receive, send):
    while (await receive()).get("more_body"): pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{VERSION} {sys.prefix}".encode()})
"""


def wheel(folder: Path, version: str) -> None:
    """A package with one module, as a build tool would write it."""
    folder.mkdir(exist_ok=True)
    information = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f'VERSION = "tiny-{version}"\n',
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{information}/RECORD"
    rows = [f"{name},sha256={digest(text)},{len(text)}\n" for name, text in files.items()]
    files[record] = "".join(rows) + f"{record},,\n"
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def test_an_environment_is_made_kept_changed_without_a_failed_request_and_made_anew_where_it_is_moved(
    harbour: Harbour, start: Start
) -> None:
    # One test, because each environment takes seconds.
    packages = harbour.folder / "packages"
    wheel(packages, "1.0")
    wheel(packages, "2.0.1")
    front = harbour.service("front", route="/", venv=None)
    (front / "main.py").write_text(APPLICATION)
    requirements = front / "requirements.txt"
    requirements.write_text("--no-index\n--find-links ../packages\ntiny==1.0\n")

    up = start().settled()
    assert up.says("making the environment of front"), up.text
    version, first = up.get("/")[1].split()
    envs = harbour.folder / ".pinnace/envs"
    assert version == "tiny-1.0" and Path(first).parent == envs
    assert up.end() == 0

    made = Path(first, "pyvenv.cfg").stat().st_mtime_ns
    up = start(PATH="/nowhere").settled()
    assert up.get("/")[1].split() == [version, first], "a second start needs no installer and no interpreter on PATH"
    assert Path(first, "pyvenv.cfg").stat().st_mtime_ns == made and not up.says("making the environment")
    assert up.end() == 0

    up = start().settled()
    instances = [one["pid"] for one in up.service("front")["instances"]]
    with Load(up, "front", "/") as load:
        load.until_answered_by("tiny-1.0")
        edit(requirements, "tiny==1.0", "tiny==2.0.1")
        up.wait_for(r"requirements\.txt changed: restarting")
        load.until_answered_by("tiny-2.0.1")
        # What cannot be understood changes nothing.
        requirements.rename(front / "aside.txt")
        (front / "pyproject.toml").write_text("[project\n")
        up.wait_for("hint: mend the file")
        up.wait_for("what runs goes on as it was")
        load.until_answered_by("tiny-2.0.1")
        (front / "aside.txt").rename(requirements)
        until(lambda: up.is_in("front", "ready"), "it is ready again")
        load.until_answered_by("tiny-2.0.1")
    assert [one["pid"] for one in up.service("front")["instances"]] != instances
    assert up.end() == 0

    moved = harbour.folder.with_name(harbour.folder.name + "-moved")
    harbour.folder.rename(moved)
    harbour.folder = moved
    up = start().settled()
    version, other = up.get("/")[1].split()
    assert version == "tiny-2.0.1" and Path(other).parent == moved / ".pinnace/envs"
    assert up.end() == 0


def test_an_environment_that_was_cut_short_is_made_anew_and_without_a_network_it_is_said_why_it_is_not(
    harbour: Harbour, start: Start
) -> None:
    front = harbour.service("front", venv=None)
    (front / "requirements.txt").write_text("tiny\n")
    harbour.service("whole")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        closed = holder.getsockname()[1]
    index = {"PIP_INDEX_URL": f"http://127.0.0.1:{closed}/simple", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": "/dev/null"}
    up = start(**index)
    until(lambda: bool(list(harbour.folder.glob(".pinnace/envs/front-*/bin/python"))), "it is being made")
    up.tell(signal.SIGKILL)
    until(lambda: not up.left(), "nothing is left of the installer")
    up.wait()
    up = start(**index)
    up.wait_for("hint: the package index cannot be reached")
    up.settled()
    assert up.service("front")["state"] == "failed" and up.get("/", "whole")[0] == 200
    assert up.end() == 6
    assert up.says("Connection refused|NewConnectionError"), up.text


def test_an_environment_that_is_named_and_absent_is_told_with_the_command_that_makes_it(
    harbour: Harbour, start: Start
) -> None:
    harbour.service("front", venv=".venv")
    up = start("--strict")
    assert up.wait() == 6, up.text
    assert "there is no environment at" in up.text and "python3 -m venv" in up.text, up.text


def test_an_interpreter_that_nobody_has_is_told_with_those_that_there_are(harbour: Harbour, start: Start) -> None:
    harbour.service("front", venv=None, python=">=3.99")
    up = start("--strict")
    assert up.wait() == 12, up.text
    assert "there is no Python >=3.99 on PATH" in up.text and "there is 3." in up.text, up.text


def test_a_list_of_requirements_that_is_not_understood_is_told(harbour: Harbour, start: Start) -> None:
    front = harbour.service("front", venv=None)
    (front / "pyproject.toml").write_text("[project\n")
    up = start("--strict")
    assert up.wait() == 6, up.text
    assert "pyproject.toml" in up.text and "mend the file" in up.text, up.text
