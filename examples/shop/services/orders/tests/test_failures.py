"""Whatever breaks: no order is lost, none is placed twice, and no stock is held for nobody."""

import socket
import time
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection
from django.test import Client
from pytest_django import Settings

from orders import placing
from orders.calling import Service
from orders.catalog import Catalog
from orders.models import Order, Status
from tests.shop import body, cancel, order
from tests.stub import Fault
from tests.stub_catalog import StubCatalog
from tests.stub_shipping import StubShipping

pytestmark = pytest.mark.django_db


def resume(older_than: float = 0) -> str:
    out = StringIO()
    call_command("resume_pending", older_than=older_than, stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.parametrize("fault", ["busy", "hang up"])
def test_a_short_weakness_of_catalog_is_not_seen(client: Client, catalog: StubCatalog, fault: Fault) -> None:
    catalog.faults = [fault, fault]
    answer = order(client, body((1, 1)))
    assert (answer.status_code, answer.json()["status"]) == (201, "placed")
    assert catalog.methods() == ["GET", "GET", "GET", "PUT"]


@pytest.mark.parametrize("fault", ["busy", "hang up", "nonsense", "strange", "silence"])
def test_an_order_waits_for_catalog_and_its_key_resumes_it(
    client: Client, catalog: StubCatalog, settings: Settings, fault: Fault
) -> None:
    if fault == "silence":
        settings.CATALOG_READ_SECONDS = 0.3
    catalog.faults = [fault] * 3
    answer = order(client, body((1, 1)), "key")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert answer.headers["Retry-After"] == "5"
    assert client.get(answer.headers["Location"]).json()["status"] == "pending"
    assert len(catalog.calls) == (3 if fault in ("busy", "hang up") else 1)
    catalog.faults = []
    settings.CATALOG_READ_SECONDS = 60.0
    again = order(client, body((1, 1)), "key")
    assert (again.status_code, again.json()["status"]) == (200, "placed")
    assert again.json()["id"] == answer.json()["id"]


def test_a_lost_answer_holds_the_stock_once(client: Client, catalog: StubCatalog, settings: Settings) -> None:
    settings.CATALOG_READ_SECONDS = 1.5
    catalog.faults = [None, "late answer"]
    assert order(client, body((1, 4)), "key").json()["status"] == "pending"
    assert catalog.stock[1] == 6
    settings.CATALOG_READ_SECONDS = 60.0
    assert order(client, body((1, 4)), "key").json()["status"] == "placed"
    assert catalog.stock[1] == 6


@pytest.mark.usefixtures("nobody_there")
def test_a_catalog_that_is_not_there_costs_little_time(client: Client) -> None:
    began = time.monotonic()
    assert order(client, body((1, 1))).status_code == 202
    assert time.monotonic() - began < 5


def test_a_catalog_that_takes_no_connection_is_given_up(client: Client, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        settings.CATALOG_URL = f"http://127.0.0.1:{address[1]}"
        settings.CATALOG_CONNECT_SECONDS = settings.CATALOG_READ_SECONDS = 0.2
        with socket.create_connection(address):
            assert order(client, body((1, 1))).status_code == 202


def test_a_crash_between_stock_and_record_is_made_good(
    client: Client, catalog: StubCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(placing, "_confirm", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            order(client, body((1, 4)), "key")
    assert catalog.stock[1] == 6
    assert order(client, body((1, 4)), "key").json()["status"] == "placed"
    assert catalog.stock[1] == 6


def test_a_cancelled_order_gives_its_stock_back_once(client: Client, catalog: StubCatalog) -> None:
    placed = order(client, body((1, 4)), "key").json()
    for _ in range(2):
        answer = cancel(client, placed["id"])
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert answer.json()["total_cents"] == placed["total_cents"]
    assert catalog.stock[1] == 10
    assert order(client, body((1, 4)), "key").json()["status"] == "cancelled"


def test_a_rejected_order_cannot_be_cancelled(client: Client, catalog: StubCatalog) -> None:
    answer = cancel(client, order(client, body((3, 1))).json()["id"])
    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "DELETE" not in catalog.methods()


def test_a_cancellation_waits_for_catalog_too(client: Client, catalog: StubCatalog) -> None:
    placed = order(client, body((1, 4))).json()
    catalog.faults = ["busy"] * 3
    answer = cancel(client, placed["id"])
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    assert f"order {placed['id']} is cancelled" in resume()
    assert catalog.stock[1] == 10


def test_a_cancellation_that_overtakes_the_order_wins(
    client: Client, catalog: StubCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Catalog.hold

    def hold(self: Catalog, order_id: UUID, quantities: dict[int, int]) -> None:
        assert cancel(Client(), str(order_id)).json()["status"] == "cancelled"
        original(self, order_id, quantities)

    monkeypatch.setattr(Catalog, "hold", hold)
    answer = order(client, body((1, 4)))
    assert (answer.status_code, answer.json()["status"], answer.json()["rejection"]) == (201, "cancelled", None)
    assert catalog.stock[1] == 10


def test_stock_held_for_an_order_that_another_process_rejected_is_given_back(
    client: Client, catalog: StubCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Catalog.hold

    def hold(self: Catalog, order_id: UUID, quantities: dict[int, int]) -> None:
        original(self, order_id, quantities)
        rejection = {"reason": "out_of_stock", "lines": []}
        Order.objects.filter(pk=order_id).update(status=Status.REJECTED, rejection=rejection)

    monkeypatch.setattr(Catalog, "hold", hold)
    assert order(client, body((1, 4))).json()["status"] == "rejected"
    assert catalog.stock[1] == 10


@pytest.mark.django_db(transaction=True)
def test_no_call_to_another_service_stands_inside_a_transaction(
    client: Client, catalog: StubCatalog, shipping: StubShipping, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Service._call

    def call(self: Service, *arguments: Any, **options: Any) -> Any:
        assert not connection.in_atomic_block
        return original(self, *arguments, **options)

    monkeypatch.setattr(Service, "_call", call)
    cancel(client, order(client, body((1, 1))).json()["id"])
    order(client, body((3, 1)))
    assert catalog.methods() == ["GET", "PUT", "DELETE", "GET", "PUT"]
    assert shipping.methods() == ["PUT", "DELETE"]


def test_resuming_leaves_young_orders_alone_and_places_old_ones(client: Client, catalog: StubCatalog) -> None:
    catalog.faults = ["busy"] * 3
    waiting = order(client, body((1, 1))).json()["id"]
    assert resume(older_than=30) == ""
    assert resume() == f"order {waiting} is placed\n"
    assert resume() == ""


def test_resuming_goes_past_an_order_that_catalog_does_not_understand(client: Client, catalog: StubCatalog) -> None:
    catalog.faults = ["strange"] * 2
    bad, good = (order(client, body((1, 1))).json()["id"] for _ in range(2))
    catalog.faults = ["strange"]
    with pytest.raises(CommandError, match="1 orders still wait"):
        resume()
    assert Order.objects.get(pk=bad).status == Status.PENDING
    assert Order.objects.get(pk=good).status == Status.PLACED


def test_resuming_stops_at_once_where_catalog_is_away(client: Client, catalog: StubCatalog) -> None:
    catalog.faults = ["busy"] * 6
    for _ in range(2):
        order(client, body((1, 1)))
    catalog.calls.clear()
    catalog.faults = ["busy"] * 3
    with pytest.raises(CommandError, match="2 orders still wait"):
        resume()
    assert len(catalog.calls) == 3


def fail(error: Exception) -> Any:
    def raising(*_: object, **__: object) -> None:
        raise error

    return raising


def test_a_busy_database_asks_to_come_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "record", fail(OperationalError("database is locked")))
    answer = order(client, body((1, 1)))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "locked" not in answer.content.decode()


def test_health_is_that_of_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    monkeypatch.setattr(type(Order.objects.all()), "exists", fail(DatabaseError("no such table")))
    assert client.get("/healthz").status_code == 503
