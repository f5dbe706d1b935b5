"""What has to be true after a round. Every check is a function from what was seen to the complaints about it, so that
`test_checks.py` can show of each that it bites.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# A failure is known to the caller this long after its cause, at most; clocks of processes on one machine agree.
NEAR = 0.25
# After whatever ends `up`, no process of it is left for longer than this many seconds.
GONE_WITHIN = 1.0
# What the supervisor says of a worker that died, in a line of the service's log.
DIED = re.compile(r" s worker (\d+) ended \(signal 9\b[^,]*, .*?lost: ([^;]+);")


@dataclass(frozen=True)
class Kill:
    """A worker that the soak has killed."""

    service: str
    pid: int
    at: float


@dataclass(frozen=True)
class Explained:
    """A failure whose request a killed worker had accepted."""

    request_id: str
    operation: str
    service: str
    how: str


@dataclass
class Row:
    """An order in the table of orders, or a reservation in that of catalog."""

    id: str
    status: str
    lines: dict[int, int]
    key: str = ""


@dataclass
class Failures:
    explained: list[Explained] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def lost_requests(log: str, kills: list[Kill]) -> dict[str, Kill]:
    """The requests that killed workers had begun, as the supervisor has named them."""
    by_pid = {kill.pid: kill for kill in kills}
    lost = {}
    for pid, ids in DIED.findall(log):
        kill = by_pid.get(int(pid))
        if kill is not None:
            lost.update(dict.fromkeys(ids.split(), kill))
    return lost


def failures(failed: list[dict[str, Any]], kills: list[Kill], lost: dict[str, Kill]) -> Failures:
    """No request fails but those that a killed worker had accepted."""
    result = Failures()
    for failure in failed:
        request_id = failure["request_id"]
        if request_id in lost:
            how = f"begun by worker {lost[request_id].pid}"
            result.explained.append(Explained(request_id, failure["operation"], lost[request_id].service, how))
            continue
        kill = _cut_by(failure, kills)
        if kill is not None:
            how = f"accepted by worker {kill.pid}, as the gateway says"
            result.explained.append(Explained(request_id, failure["operation"], kill.service, how))
            continue
        result.complaints.append(
            f"{request_id} ({failure['operation']}: {failure['method']} {failure['path']}) failed at "
            f"{failure['failed_at']} and no killed worker had it: {failure['error']}"
        )
    return result


def _cut_by(failure: dict[str, Any], kills: list[Kill]) -> Kill | None:
    """The gateway answers 502 where a service accepted a request and broke the connection; it names both."""
    problem = failure["problem"] or {}
    if failure["status"] != 502 or problem.get("request_id") != failure["request_id"]:
        return None
    sent, failed = seconds(failure["sent_at"]), seconds(failure["failed_at"])
    for kill in kills:
        if kill.service == problem.get("service") and sent - NEAR <= kill.at <= failed + NEAR:
            return kill
    return None


def generator(report: dict[str, Any], rate: float) -> list[str]:
    """The load was what it claims to be."""
    complaints = []
    if report["overflow"]:
        complaints.append(f"{report['overflow']} operations found no room: the shop was far too slow")
    if report["panicked"]:
        complaints.append(f"{report['panicked']} operations of the generator panicked")
    if report["requests_per_second"] < rate * 0.98:
        complaints.append(f"only {report['requests_per_second']:.1f} requests/s were made, not {rate:.0f}")
    begun = sum(row["begun"] for row in report["operations"])
    if begun + report["overflow"] != report["scheduled"]:
        complaints.append(f"{report['scheduled']} operations were due and {begun} have ended")
    return complaints


def orders(facts: list[dict[str, Any]], rows: list[Row]) -> list[str]:
    """The table of orders has what was acknowledged and nothing else."""
    complaints = []
    acknowledged = {plain(fact["order"]): fact for fact in facts if "order" in fact}
    rejected = {fact["rejected"] for fact in facts if "rejected" in fact}
    by_id = {plain(row.id): row for row in rows}
    for fact in facts:
        if "unsettled" in fact:
            complaints.append(f"order with key {fact['unsettled']} could not be settled: {fact['error']}")
    for order_id, fact in acknowledged.items():
        row = by_id.get(order_id)
        basket = {int(product): quantity for product, quantity in fact["basket"].items()}
        if row is None:
            complaints.append(f"order {order_id} was acknowledged and is not in the table")
        elif row.status != "placed":
            complaints.append(f"order {order_id} was acknowledged and is {row.status}")
        elif row.lines != basket:
            complaints.append(f"order {order_id} has {row.lines}, and the basket had {basket}")
    for order_id, row in by_id.items():
        if order_id not in acknowledged and not (row.status == "rejected" and row.key in rejected):
            complaints.append(f"order {order_id} ({row.status}) is in the table and nobody was told")
    placed = sum(row.status == "placed" for row in rows)
    if placed != len(acknowledged):
        complaints.append(f"{placed} orders are placed, {len(acknowledged)} were acknowledged")
    return complaints


def stock(before: dict[int, int], after: dict[int, int], placed: list[Row], held: list[Row]) -> list[str]:
    """What is gone from the shelves is what placed orders hold, product by product."""
    complaints = []
    expected, promised = dict(before), {plain(row.id): row.lines for row in placed}
    kept = {plain(row.id): row.lines for row in held}
    for order_id in promised.keys() - kept.keys():
        complaints.append(f"order {order_id} is placed and holds no stock")
    for order_id in kept.keys() - promised.keys():
        complaints.append(f"stock is held for {order_id}, which is no placed order")
    for order_id in promised.keys() & kept.keys():
        if promised[order_id] != kept[order_id]:
            complaints.append(f"order {order_id} has {promised[order_id]} and holds {kept[order_id]}")
    for lines in kept.values():
        for product, quantity in lines.items():
            expected[product] -= quantity
    for product, left in expected.items():
        if after.get(product) != left:
            complaints.append(f"{after.get(product)} of product {product} are left, and {left} should be")
    return complaints


def faults(wanted: dict[str, int], happened: dict[str, int]) -> list[str]:
    """The faults that a round claims to survive were really made."""
    return [
        f"{what}: {happened.get(what, 0)} instead of {number}"
        for what, number in wanted.items()
        if happened.get(what, 0) < number
    ]


def at_most(what: str, value: float, limit: float, unit: str) -> list[str]:
    return [f"{what}: {value:.2f} {unit}, and {limit:g} is the limit"] if value > limit else []


# What may be answered to nonsense: anything that says whose fault it is. 500 is Consul's and Eureka's for some of it.
REFUSALS = frozenset({400, 401, 403, 404, 405, 408, 413, 414, 429, 431, 500, 501, 507})
OWN_FAULT = re.compile(rb"could not be written|could not answer|internal", re.IGNORECASE)


def answer(asked: str, status: int, media_type: str, body: bytes) -> list[str]:
    """Every answer is a refusal with a reason, or a document of the type that it says it has."""
    if status in (429, 503) and b'"AggregatedStatus"' in body:
        # How a service stands, as a load balancer understands it.
        status = 200
    if status in REFUSALS:
        if not body.strip():
            return [f"{asked}: {status} without a reason"]
        return [f"{asked}: {status}, its own fault: {body[:200]!r}"] if OWN_FAULT.search(body) else []
    if status not in (200, 204):
        return [f"{asked}: {status}: {body[:200]!r}"]
    try:
        if "json" in media_type:
            json.loads(body)
        elif "xml" in media_type:
            xml.etree.ElementTree.fromstring(body)
    except (ValueError, xml.etree.ElementTree.ParseError) as error:
        return [f"{asked}: 200 with a document that is none: {error}: {body[:200]!r}"]
    return []


def ports_of(body: bytes) -> list[int]:
    """The ports in what Consul's catalog says of a service."""
    return [int(one["ServicePort"]) for one in json.loads(body)]


def goes_on(before: int, after: int) -> list[str]:
    return [f"the index went back from {before} to {after}"] if after < before else []


def nothing_left(moment: str, waited: float, left: list[str], within: float) -> list[str]:
    """Whatever ends `up`, nothing of its is left after a second."""
    if left:
        return [f"{moment}: {len(left)} processes are left after {waited:.2f} s: {'; '.join(left)}"]
    return at_most(f"{moment}: all were gone", waited, within, "s")


def plain(order_id: str) -> str:
    """A UUID without the dashes, which some tables have and others do not."""
    return order_id.replace("-", "").lower()


def seconds(time: str) -> float:
    # Python 3.10 reads neither a Z nor more than six digits.
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}+00:00").timestamp()
