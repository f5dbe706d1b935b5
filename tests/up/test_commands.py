"""What `ps`, `logs`, `restart` and `scale` do from a second terminal, and what they refuse."""

from __future__ import annotations

import functools
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harbour import Harbour, Up
from load import Load
from program import Program
from waiting import until


@pytest.fixture(scope="module")
def up(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One system for all tests of this file."""
    harbour = Harbour(tmp_path_factory.mktemp("harbour"))
    harbour.service("front", route=["/", "shop.example/front"], calls=["back"], workers=2)
    harbour.service("back", "wsgi_app.py", route="/back")
    harbour.program("program")
    harbour.program("clock", "sh", "-c", "echo started; echo to stderr >&2; exec sleep 1000", port=False)
    up = Up(binary, harbour.folder)
    try:
        yield up.settled()
        assert up.end() == 0
    finally:
        up.close()


def test_ps_shows_what_runs(up: Up) -> None:
    view = up.ps()
    assert (view["name"], view["root"], view["pid"]) == ("harbour", str(up.folder), up.process.pid)
    names = [service["name"] for service in view["services"]]
    assert names[:2] == ["hub", "gateway"] and sorted(names[2:]) == ["back", "clock", "front", "program"]
    assert names.index("back") < names.index("front"), "in the order of their start"
    kinds = {service["name"]: service["kind"] for service in view["services"]}
    assert kinds["hub"] == "platform" and kinds["front"] == "hosted" and kinds["program"] == "command"
    front = up.service("front")
    assert front["routes"] == ["/", "shop.example/front"] and front["workers"] == 2 and front["framework"] == "ASGI"
    assert up.service("clock")["url"] is None and up.service("back")["framework"] == "WSGI"
    table = up.command("ps").stdout.splitlines()
    assert table[0].split()[:2] == ["SERVICE", "STATE"] and len(table) == 1 + len(names)
    assert all("ready" in row for row in table[1:]) and "\x1b" not in "".join(table), "no colour without a terminal"


def test_the_table_of_up_has_every_service_and_the_links(up: Up) -> None:
    text = up.text
    for name in ("front", "back", "program", "clock"):
        assert up.says(rf"^{name} .*ready"), text
    assert up.says(rf"^gateway +{up.ps()['gateway_url']}/") and up.says(rf"^hub +{up.ps()['hub_url']}"), text
    assert "\x1b" not in text


def test_commands_work_in_a_folder_below_and_with_a_file_named(up: Up, tmp_path: Path) -> None:
    for folder, arguments in (
        (up.folder / "front", ["ps"]),
        (tmp_path, ["ps", "--file", str(up.folder / "pinnace.toml")]),
    ):
        program = Program([str(up.binary), *arguments], folder, up.environment | {"MARK": ""})
        assert program.wait() == 0 and program.says("^front "), program.text


def test_logs_shows_the_last_lines_of_one_service_or_of_all(up: Up) -> None:
    until(lambda: "to stderr" in up.command("logs", "clock").stdout, "what it writes")
    lines = [line.split(" | ") for line in up.command("logs", "clock").stdout.splitlines()]
    assert {"started", "to stderr"} <= {text for _, text in lines} and {who.strip() for who, _ in lines} == {"clock-1"}
    everything = up.command("logs", "--json").stdout.splitlines()
    services = {json.loads(line)["service"] for line in everything}
    assert {"clock", "hub", "gateway"} <= services
    assert len(up.command("logs", "--tail", "1", "clock").stdout.splitlines()) == 1
    found = {json.loads(line)["text"]: json.loads(line) for line in everything}
    assert (found["to stderr"]["stream"], found["started"]["stream"]) == ("stderr", "stdout")


def test_logs_follow_a_service_until_they_are_interrupted(up: Up) -> None:
    follower = Program([str(up.binary), "logs", "-f", "--tail", "0", "clock"], up.folder, up.environment | {"MARK": ""})
    # It follows as soon as it has shown a line; each restart writes some.
    until(lambda: up.command("restart", "clock").returncode == 0 and bool(follower.lines), "a line")
    assert all(line.startswith("clock") for line in follower.lines), follower.text
    assert follower.end(signal.SIGINT) == 0


def test_restart_replaces_all_instances_and_no_request_fails(up: Up) -> None:
    assert up.command("scale", "front=2").returncode == 0
    before = {instance["pid"] for instance in up.service("front")["instances"]}
    with Load(up, "front", "/") as load:
        load.until_answered_by("one")
        ended = up.command("restart", "front")
        assert (ended.returncode, ended.stdout) == (0, "front is ready: 2 instances\n"), ended
        load.until_answered_by("one")
    until(lambda: len(up.service("front")["instances"]) == 2, "the old ones have ended")
    after = {instance["pid"] for instance in up.service("front")["instances"]}
    assert not before & after
    assert up.command("scale", "front=1").returncode == 0


def test_scale_up_and_down_fails_no_request(up: Up) -> None:
    with Load(up, "back", "/back") as load:
        for number in (3, 1, 2, 1):
            ended = up.command("scale", f"back={number}")
            assert ended.returncode == 0, ended.stderr
            load.until_answered_by("one")
            answering = [one for one in up.service("back")["instances"] if one["state"] == "ready"]
            assert len(answering) == number
            ports = {instance["port"] for instance in answering}
            assert len(ports) == number and up.service("back")["url"].rsplit(":")[-1] not in map(str, ports)
    until(lambda: len(up.service("back")["instances"]) == 1, "those that are too many have ended")
    assert up.service("back")["restarts"] == 0


def test_what_came_of_a_command_is_shown_as_json(up: Up) -> None:
    for wish in (("restart", "back"), ("scale", "back=1")):
        view = json.loads(up.command(*wish, "--json").stdout)
        assert (view["name"], view["state"]) == ("back", "ready")
        assert [one["state"] for one in view["instances"]].count("ready") == 1, "the former one may still be ending"


def test_the_hub_does_what_commands_do_for_whoever_has_its_token(up: Up) -> None:
    token = up.folder / ".pinnace/run/hub-token"
    assert token.stat().st_mode & 0o777 == 0o600
    known = {"Authorization": f"Bearer {token.read_text().strip()}"}
    for headers in ({}, {"Authorization": "Bearer " + "x" * 64}):
        answer = up.request("/api/v1/system", "hub", headers=headers)
        assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert up.request("/api/v1/system", "hub", headers={**known, "Host": "evil.example"}).status == 403
    former = up.leader("front")
    answer = up.request("/api/v1/services/front/restart", "hub", "POST", known)
    assert answer.status == 200 and json.loads(answer.body)["state"] == "ready", answer.text
    until(lambda: has_one_instance(up, "front") and up.leader("front") != former, "a new instance")
    lines = up.request("/api/v1/logs?service=clock", "hub", headers=known).text.splitlines()
    assert "started" in [json.loads(line)["text"] for line in lines]
    unknown = up.request("/api/v1/services/frnt/restart", "hub", "POST", known)
    assert unknown.status == 404 and "front" in json.loads(unknown.body)["hint"], unknown.text


@pytest.mark.parametrize("name", ["program", "hub", "gateway"])
def test_what_cannot_run_twice_is_not_scaled(up: Up, name: str) -> None:
    ended = up.command("scale", f"{name}=2")
    assert ended.returncode == 1 and "cannot be scaled" in ended.stderr, ended
    assert len(up.service(name)["instances"]) == 1


def test_restart_of_a_program_and_of_the_gateway_brings_new_processes(up: Up) -> None:
    for name in ("program", "clock", "gateway", "hub"):
        before = up.leader(name)
        ended = up.command("restart", name)
        assert ended.returncode == 0, ended.stderr
        until(functools.partial(has_one_instance, up, name), "one instance")
        assert up.leader(name) != before
    assert up.get("/")[0] == 200 and up.hub("/api/v1/system")["system"]["name"] == "harbour"


def has_one_instance(up: Up, name: str) -> bool:
    return len(up.service(name)["instances"]) == 1


@pytest.mark.parametrize("arguments", [("restart", "frnt"), ("scale", "frnt=2"), ("logs", "frnt")])
def test_an_unknown_service_names_the_nearest(up: Up, arguments: tuple[str, ...]) -> None:
    ended = up.command(*arguments)
    assert ended.returncode == 2 and "there is no service `frnt`" in ended.stderr, ended
    assert "front" in ended.stderr.splitlines()[-1], ended.stderr


@pytest.mark.parametrize("wish", ["front=0", "front=65", "front", "front=many"])
def test_a_number_of_instances_that_is_none_is_refused(up: Up, wish: str) -> None:
    ended = up.command("scale", wish)
    assert ended.returncode == 2 and ended.stderr, ended


@pytest.mark.parametrize("arguments", [("ps",), ("logs",), ("restart", "front"), ("scale", "front=2")])
def test_without_a_system_it_is_said_how_to_start_one(
    binary: Path, harbour: Harbour, arguments: tuple[str, ...]
) -> None:
    harbour.service("front")
    program = Program([str(binary), *arguments], harbour.folder)
    assert program.wait() == 10 and program.says("hint: `pinnace up`"), program.text
    assert not (harbour.folder / ".pinnace").exists()


def test_json_of_up_is_one_object_a_line(binary: Path, harbour: Harbour) -> None:
    harbour.program("clock", "sh", "-c", "while :; do echo tick; sleep 0.05; done", port=False)
    up = Up(binary, harbour.folder, "--json")
    try:
        up.wait_for('"text":"tick"')
        assert up.end() == 0
        objects = [json.loads(line) for line in up.lines if line.startswith("{")]
        assert objects[0]["event"] == "system" and objects[0]["services"][2]["name"] == "clock"
        assert all({"service", "instance", "text", "time"} <= line.keys() for line in objects[1:])
    finally:
        up.close()


def test_logs_that_are_followed_end_with_the_system(binary: Path, harbour: Harbour) -> None:
    harbour.program("clock", "sh", "-c", "while :; do echo tick; sleep 0.05; done", port=False)
    up = Up(binary, harbour.folder)
    try:
        up.settled()
        follower = Program([str(binary), "logs", "-f"], harbour.folder, up.environment | {"MARK": ""})
        follower.wait_for("clock-1 +| tick")
        assert up.end() == 0
        assert follower.wait() == 0, follower.text
    finally:
        up.close()
