"""Every check of the soak bites: what is right passes, and each single thing that is wrong is complained about."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import checks
import nonsense
import pytest
from checks import Kill, Row
from journal import Journal, entry
from processes import belonging

KILLED = Kill("orders", 4711, checks.seconds("2026-11-24T08:00:01.5Z"))
LOG = "\n".join(
    [
        "2026-11-24T08:00:01.510Z orders s worker 4711 ended (signal 9 (SIGKILL)), 2 begun and lost: "
        "soak1-7.3 soak1-9.1; started again in 100 ms",
        "2026-11-24T08:00:02.510Z orders s worker 9999 ended (signal 9 (SIGKILL)), 1 begun and lost: soak1-8.1; "
        "started again in 100 ms",
        "2026-11-24T08:00:03.510Z orders s worker 5000 ended (signal 9), no request was begun; started again in 100 ms",
        "2026-11-24T08:00:04.510Z orders-1 e POST /orders 201 request_id=soak1-10.1",
    ]
)


def failure(request_id: str, **other: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "operation": "order",
        "method": "POST",
        "path": "/checkout",
        "status": 503,
        "error": "status 503",
        "problem": None,
        "sent_at": "2026-11-24T08:00:01.4Z",
        "failed_at": "2026-11-24T08:00:01.52Z",
    } | other


def cut(**other: Any) -> dict[str, Any]:
    problem = {"code": "bad-upstream", "service": "orders", "request_id": "soak1-11.1"}
    return failure("soak1-11.1", status=502, problem=problem, **other)


def complaints_about(*failed: dict[str, Any]) -> list[str]:
    return checks.failures(list(failed), [KILLED], checks.lost_requests(LOG, [KILLED])).complaints


def test_requests_that_a_killed_worker_had_accepted_are_explained_and_named() -> None:
    lost = checks.lost_requests(LOG, [KILLED])
    assert lost == {"soak1-7.3": KILLED, "soak1-9.1": KILLED}
    seen = checks.failures([failure("soak1-7.3"), cut()], [KILLED], lost)
    assert not seen.complaints
    assert [(one.request_id, one.service) for one in seen.explained] == [
        ("soak1-7.3", "orders"),
        ("soak1-11.1", "orders"),
    ]


def test_any_other_failed_request_is_complained_about_by_name() -> None:
    # Of a worker that the soak has not killed; of none; a 502 at another time, of another service, of another request.
    wrong = [
        failure("soak1-8.1"),
        failure("soak1-10.1"),
        cut(sent_at="2026-11-24T08:00:02Z", failed_at="2026-11-24T08:00:02.1Z"),
        cut() | {"problem": {"service": "catalog", "request_id": "soak1-11.1"}},
        cut() | {"problem": {"service": "orders", "request_id": "soak1-12.1"}},
        cut() | {"status": 503},
    ]
    for one in wrong:
        assert len(complaints_about(one)) == 1 and one["request_id"] in complaints_about(one)[0], one


REPORT = {
    "overflow": 0,
    "panicked": 0,
    "requests_per_second": 149.9,
    "scheduled": 9000,
    "operations": [{"begun": 8000}, {"begun": 1000}],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"overflow": 1, "scheduled": 9001},
        {"panicked": 1},
        {"requests_per_second": 120.0},
        {"scheduled": 9001},
    ],
)
def test_a_load_that_is_not_what_it_claims_is_complained_about(wrong: dict[str, Any]) -> None:
    assert checks.generator(REPORT, 150.0) == []
    assert len(checks.generator(REPORT | wrong, 150.0)) == 1


IDS = [uuid.UUID(int=number) for number in range(1, 4)]
FACTS: list[dict[str, Any]] = [
    {"order": str(IDS[0]), "key": "a", "basket": {"7": 2}},
    {"order": str(IDS[1]), "key": "b", "basket": {"7": 1, "8": 1}, "settled_after": 2},
    {"rejected": "c", "basket": {"9": 1}},
    {"short": {"9": 1}},
]
ROWS = [
    Row(IDS[0].hex, "placed", {7: 2}, "a"),
    Row(IDS[1].hex, "placed", {7: 1, 8: 1}, "b"),
    Row(IDS[2].hex, "rejected", {9: 1}, "c"),
]


def test_a_table_that_has_what_was_acknowledged_is_right() -> None:
    assert checks.orders(FACTS, ROWS) == []


def test_an_order_that_is_lost_doubled_changed_or_left_open_is_complained_about() -> None:
    doubled = Row(uuid.UUID(int=9).hex, "placed", {7: 2}, "d")
    assert any("is not in the table" in one for one in checks.orders(FACTS, ROWS[1:]))
    assert any("nobody was told" in one for one in checks.orders(FACTS, [*ROWS, doubled]))
    assert any("1 orders are placed, 2" in one for one in checks.orders(FACTS, ROWS[1:]))
    for field, value in (("status", "pending"), ("lines", {7: 1})):
        rows = copy.deepcopy(ROWS)
        setattr(rows[0], field, value)
        assert any("was acknowledged and is" in one or "the basket had" in one for one in checks.orders(FACTS, rows))
    unsettled = {"unsettled": "e", "basket": {}, "error": "status 503"}
    assert any("could not be settled" in one for one in checks.orders([*FACTS, unsettled], ROWS))
    unasked = Row(uuid.UUID(int=8).hex, "rejected", {7: 2}, "f")
    assert any("nobody was told" in one for one in checks.orders(FACTS, [*ROWS, unasked]))


def test_stock_that_does_not_fit_the_orders_is_complained_about() -> None:
    before, after = {7: 10, 8: 5}, {7: 7, 8: 4}
    placed = ROWS[:2]
    held = [Row(str(IDS[0]), "held", {7: 2}), Row(str(IDS[1]), "held", {7: 1, 8: 1})]
    assert checks.stock(before, after, placed, held) == []
    assert checks.stock(before, after | {8: 5}, placed, held) == ["5 of product 8 are left, and 4 should be"]
    assert any("holds no stock" in one for one in checks.stock(before, after, placed, held[:1]))
    assert any("no placed order" in one for one in checks.stock(before, after, placed[:1], held))
    other = [held[0], Row(str(IDS[1]), "held", {7: 1})]
    assert any("and holds" in one for one in checks.stock(before, after, placed, other))


def test_a_fault_that_was_not_made_is_complained_about() -> None:
    assert checks.faults({"reloads of orders": 5}, {"reloads of orders": 5}) == []
    assert checks.faults({"reloads of orders": 5}, {}) == ["reloads of orders: 0 instead of 5"]


def test_a_limit_is_a_limit() -> None:
    assert checks.at_most("memory", 100.0, 100.0, "MiB") == []
    assert checks.at_most("memory", 100.1, 100.0, "MiB") == ["memory: 100.10 MiB, and 100 is the limit"]


def test_a_process_that_is_left_is_found_by_its_mark_and_by_its_folder_and_complained_about(tmp_path: Path) -> None:
    mark = f"MARK={uuid.uuid4().hex}"
    with (
        subprocess.Popen(["sleep", "100"], env={"MARK": mark.split("=")[1]}) as marked,
        subprocess.Popen(["sleep", "100"], cwd=tmp_path, env={}) as inside,
    ):
        # Its name is not yet its own between fork and exec.
        found = {one.pid for one in belonging(mark, tmp_path)}
        while found != {marked.pid, inside.pid}:
            found = {one.pid for one in belonging(mark, tmp_path)}
        marked.kill()
        inside.kill()
    assert belonging(mark, tmp_path) == []
    assert checks.nothing_left("x", 0.3, [], 1.0) == []
    assert "sleep" in checks.nothing_left("x", 1.0, ["12 sleep"], 1.0)[0]
    assert len(checks.nothing_left("x", 1.2, [], 1.0)) == 1


def test_runs_add_up_and_an_interrupted_one_is_found_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    assert (journal.next_seed("kills"), journal.unfinished("kills")) == (1, None)
    journal.add(entry("kills", "soak.py kills", 1, {"next_round": 50}, [], interrupted=False))
    journal.add(entry("load", "soak.py load", 7, {}, ["wrong"], interrupted=True))
    journal.add(entry("kills", "soak.py kills", 2, {"next_round": 17}, [], interrupted=True))
    left_over = journal.unfinished("kills")
    assert left_over is not None and (left_over["seed"], left_over["figures"]["next_round"]) == (2, 17)
    assert journal.next_seed("kills") == 3
    assert [one["verdict"] for one in journal.entries()] == ["pass", "fail", "interrupted"]
    assert journal.unfinished("load") is None


@pytest.mark.skipif("PINNACE_LOAD" not in os.environ, reason="PINNACE_LOAD names the generator; `make test` sets it")
def test_the_generator_names_what_failed_and_ends_with_one(tmp_path: Path) -> None:
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    with subprocess.Popen([sys.executable, server], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        load = [os.environ["PINNACE_LOAD"], "url", url, "--rate", "100", "--for", "1s", "--name", "t"]
        done = subprocess.run(load, capture_output=True, text=True, check=False, timeout=60)
        process.kill()
    report = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert (report["scheduled"], report["overflow"], report["all"]["begun"]) == (100, 0, 100)
    failed = {one["request_id"]: one for one in report["failures"]}
    assert set(failed) == {f"t-{number}" for number in range(0, 100, 10)} and report["all"]["failed"] == 10
    assert failed["t-10"]["status"] == 500 and failed["t-10"]["error"] == "status 500: no luck"
    assert failed["t-20"]["status"] is None
    # It has answered one of them after 300 ms.
    assert 300 <= report["all"]["latency_ms"]["max"] < 3000


SERVER = """
import http.server, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        number = int(self.headers["X-Request-Id"].split("-")[1])
        if number == 55:
            time.sleep(0.3)
        if number and number % 20 == 0:
            self.close_connection = True
            return
        status, body = (500, b"no luck") if number % 10 == 0 else (200, b"ok")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (400, "text/plain", b""),
        (404, "text/plain", b" "),
        (500, "text/plain", b"the registry could not be written; the hub's log says why"),
        (500, "application/problem+json", b'{"detail": "the hub could not answer"}'),
        (302, "", b""),
        (502, "text/plain", b"?"),
        (503, "application/json", b'{"AggregatedStatus": '),
        (200, "application/json", b'{"cut": '),
        (200, "application/json; charset=utf-8", b""),
        (200, "application/xml", b"<a>&b;</a>"),
    ],
)
def test_an_answer_to_nonsense_that_is_none_is_complained_about(status: int, media_type: str, body: bytes) -> None:
    (complaint,) = checks.answer("GET /x", status, media_type, body)
    assert complaint.startswith("GET /x: ")


def test_refusals_with_a_reason_and_whole_documents_are_answers() -> None:
    for status, media_type, body in [
        (400, "text/plain", b"Invalid index"),
        (500, "text/plain", b"No path to datacenter: dc9"),
        (501, "text/plain", b"This registry does not serve sessions."),
        (503, "application/json", b'{"AggregatedStatus": "critical"}'),
        (507, "text/plain", b"the registry is full"),
        (200, "application/json", b"[]"),
        (200, "application/xml", b"<a>&amp;</a>"),
        (200, "text/plain", b"passing"),
        (204, "", b""),
        (200, "", b""),
    ]:
        assert checks.answer("GET /x", status, media_type, body) == []


def test_an_index_that_goes_back_is_complained_about() -> None:
    assert checks.goes_on(7, 7) == checks.goes_on(7, 8) == []
    assert checks.goes_on(8, 7) == ["the index went back from 8 to 7"]


def test_the_same_seed_breaks_things_in_the_same_way() -> None:
    def drawn(seed: str) -> list[bytes]:
        draw = random.Random(seed)
        return [nonsense.request(draw).wire("t") for _ in range(300)] + [nonsense.message(draw) for _ in range(50)]

    assert drawn("1") == drawn("1") != drawn("2")
    assert all(b"keeper" not in wire.split(b"\r\n\r\n")[0] for wire in drawn("1")[:300]), "who behaves is left alone"
