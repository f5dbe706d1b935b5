"""The shop under load and faults: nothing fails but what a killed worker had accepted, no order is lost or doubled."""

from __future__ import annotations

import http.client
import json
import math
import sqlite3
import statistics
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import checks
import processes
from checks import Row
from faults import Faults, Plan
from system import SoakError, System, until

# Of the operations. Of the requests that they make, browse is 50 %, product 30 %, basket 10 %, order 10 %: the first
# two are one request each, a basket is two, an order three, and a shopper who is new looks at a product first.
MIX = "browse=57,product=34,basket=6,order=3"
REQUESTS_AN_OPERATION = 1.15
# The load's own time to come to its end, and to settle orders whose answers got lost.
LONGEST_AFTER = 120.0


@dataclass(frozen=True)
class LoadOptions:
    generator: Path
    # Requests a second.
    rate: float
    plan: Plan
    # By which times are multiplied, where the machine does other things as well.
    patience: float = 1.0
    sabotage: str = ""


def run(system: System, options: LoadOptions, seed: int) -> tuple[dict[str, Any], list[str]]:
    """One load; gives back its figures and the complaints."""
    system.forget()
    system.start()
    ready = system.wait_until_ready()
    services = system.services()
    restock(system)
    # The shop is at rest now: what is busy is none of ours.
    others = processes.busy_cores(2.0)
    before = stock(system)
    hosted = system.hosted()
    faults = Faults(system, options.plan, seed, hosted, hidden_kill=options.sabotage == "hidden-kill")
    if options.sabotage != "no-faults":
        faults.begin()
    report = load(system, options, seed)
    faults.end()
    complaints = list(faults.complaints)
    complaints += again_ready(system)
    resumed = resume_pending(system)
    rows, held = orders(system), reservations(system)
    spoil(system, options.sabotage, rows)
    if options.sabotage in ("order", "stock"):
        rows, held = orders(system), reservations(system)
    placed = [row for row in rows if row.status == "placed"]
    logs = "".join(system.log(service) for service in services)
    seen = checks.failures(report["failures"], faults.kills, checks.lost_requests(logs, faults.kills))
    complaints += checks.generator(report, options.rate)
    complaints += seen.complaints
    complaints += checks.orders(report["facts"], rows)
    complaints += checks.stock(before, stock(system), placed, held)
    complaints += checks.faults(options.plan.wanted(hosted), faults.happened)
    complaints += end(system, options.patience)
    for one in seen.explained:
        print(f"accepted by a killed worker: {one.request_id} ({one.operation}): {one.service}, {one.how}")
    latency = report["all"]["latency_ms"]
    figures = {
        "seconds": round(report["seconds"], 1),
        "rate": options.rate,
        "operations_per_second": round(report["operations_per_second"], 1),
        "mix": MIX,
        "operations": report["all"]["begun"],
        "requests": report["all"]["requests"],
        "requests_per_second": round(report["requests_per_second"], 1),
        "failed": report["all"]["failed"],
        "accepted_by_killed_workers": [f"{one.request_id} {one.operation} {one.service}" for one in seen.explained],
        "latency_ms": {name: latency[name] for name in ("p50", "p90", "p99", "p999", "max")},
        "generator_late_ms": round(report["lag_ms"], 1),
        "orders": len(placed),
        "orders_settled_later": sum("settled_after" in fact for fact in report["facts"]),
        "orders_resumed": resumed,
        "happened": dict(faults.happened),
        "reload_s": round(statistics.median(faults.reload_seconds), 2) if faults.reload_seconds else None,
        "start_s": round(ready, 2),
        "cores_that_others_used": round(others, 2),
    }
    return figures, complaints


def load(system: System, options: LoadOptions, seed: int) -> dict[str, Any]:
    file = system.root / "load.json"
    file.unlink(missing_ok=True)
    command = [str(options.generator), "shop", f"http://127.0.0.1:{system.gateway}"]
    operations = math.ceil(options.rate / REQUESTS_AN_OPERATION)
    command += ["--rate", str(operations), "--for", f"{options.plan.seconds:g}s", "--mix", MIX]
    command += ["--seed", str(seed), "--name", f"soak{seed}", "--report", str(file)]
    if options.sabotage == "overflow":
        command += ["--outstanding", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=options.plan.seconds + LONGEST_AFTER
    )
    print(done.stderr, flush=True)
    if not file.exists():
        raise SoakError(f"pinnace-load wrote no report: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(file.read_text())
    return report


def again_ready(system: System) -> list[str]:
    """Whatever was done to it, the system is whole again by itself."""
    try:
        until(system.is_ready, "all services are ready after the load", 60.0, every=0.1)
    except SoakError as error:
        return [f"{error}; {system.why_not()}"]
    return []


def end(system: System, patience: float) -> list[str]:
    """SIGTERM ends everything, with exit code 0."""
    try:
        code = system.end()
    except SoakError as error:
        return [str(error)]
    within = checks.GONE_WITHIN * patience
    waited, left = system.left_after(within)
    complaints = checks.nothing_left("after SIGTERM", waited, [str(process) for process in left], within)
    return complaints + ([f"`pinnace up` ended with {code} after SIGTERM"] if code != 0 else [])


def restock(system: System) -> None:
    """Fills the shelves: what is tested is not what happens when a product is sold out."""
    with closing(sqlite3.connect(system.database("catalog"), timeout=30)) as table, table:
        table.execute("UPDATE products SET stock = stock + 100000")


def resume_pending(system: System) -> int:
    """Repeats orders that wait for catalog's answer, as their callers would; the key makes each one order."""
    url = urlsplit(system.service("orders")["url"])
    with closing(read(system, "orders")) as table:
        waiting = table.execute(
            "SELECT id, idempotency_key, name, email, address FROM orders_order WHERE status = 'pending'"
        ).fetchall()
    lines = {row.id: row.lines for row in orders(system)}
    for order_id, key, name, email, address in waiting:
        body = {
            "customer": {"name": name, "email": email, "address": address},
            "lines": [{"product_id": product, "quantity": number} for product, number in lines[order_id].items()],
        }
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        with closing(connection):
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            connection.request("POST", "/orders", json.dumps(body), headers)
            connection.getresponse().read()
    return len(waiting)


def spoil(system: System, sabotage: str, rows: list[Row]) -> None:
    """For the proof that the checks of the tables can fail."""
    if sabotage == "order":
        with closing(sqlite3.connect(system.database("orders"))) as table, table:
            table.execute("DELETE FROM orders_orderline WHERE order_id = ?", (rows[0].id,))
            table.execute("DELETE FROM orders_order WHERE id = ?", (rows[0].id,))
    if sabotage == "stock":
        with closing(sqlite3.connect(system.database("catalog"))) as table, table:
            table.execute("UPDATE products SET stock = stock + 1 WHERE id = (SELECT min(id) FROM products)")


def read(system: System, service: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{system.database(service)}?mode=ro", uri=True, timeout=30)


def stock(system: System) -> dict[int, int]:
    with closing(read(system, "catalog")) as table:
        return dict(table.execute("SELECT id, stock FROM products").fetchall())


def orders(system: System) -> list[Row]:
    with closing(read(system, "orders")) as table:
        rows = table.execute("SELECT id, status, idempotency_key FROM orders_order").fetchall()
        lines = table.execute("SELECT order_id, product_id, quantity FROM orders_orderline").fetchall()
    return together([(id_, status, key) for id_, status, key in rows], lines)


def reservations(system: System) -> list[Row]:
    with closing(read(system, "catalog")) as table:
        rows = table.execute("SELECT id, state FROM reservations WHERE state = 'held'").fetchall()
        lines = table.execute("SELECT reservation_id, product_id, quantity FROM reservation_lines").fetchall()
    return together([(id_, state, "") for id_, state in rows], lines)


def together(rows: list[tuple[str, str, str]], lines: list[tuple[str, int, int]]) -> list[Row]:
    found = {id_: Row(id_, status, {}, key) for id_, status, key in rows}
    for id_, product, quantity in lines:
        if id_ in found:
            found[id_].lines[product] = quantity
    return list(found.values())
