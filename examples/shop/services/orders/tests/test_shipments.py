"""A placed order is sent once; shipping that is away delays its parcels, and nothing else."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from pytest_django import Settings

from orders import errands
from orders.models import Order, Shipment, Status
from orders.shipping import Shipping
from tests.conftest import NOWHERE
from tests.shop import body, cancel, order
from tests.stub import Fault
from tests.stub_catalog import StubCatalog
from tests.stub_shipping import StubShipping

pytestmark = pytest.mark.django_db


def stands(order_id: str) -> tuple[str, str]:
    found = Order.objects.get(pk=order_id)
    return found.status, found.shipment


def resume() -> str:
    out = StringIO()
    call_command("resume_pending", older_than=0, stdout=out, stderr=out)
    return out.getvalue()


def test_a_placed_order_is_booked_once_for_its_recipient(
    client: Client, catalog: StubCatalog, shipping: StubShipping
) -> None:
    placed = order(client, body((1, 2), (2, 1)), "key").json()
    assert (placed["status"], placed["shipment"]) == ("placed", "booked")
    recipient = {"name": "Ada", "address": "1 Way\nLondon"}
    assert shipping.booked == {placed["id"]: {"recipient": recipient, "things": 3}}
    order(client, body((1, 2), (2, 1)), "key")
    assert shipping.methods() == ["PUT"]


@pytest.mark.usefixtures("catalog")
def test_what_is_not_placed_is_not_sent(client: Client, shipping: StubShipping) -> None:
    rejected = order(client, body((3, 1))).json()
    assert (rejected["status"], rejected["shipment"]) == ("rejected", "none")
    assert not shipping.calls


@pytest.mark.parametrize("fault", ["busy", "hang up", "strange", "silence", "late answer"])
def test_an_order_is_placed_without_shipping_and_booked_later(
    client: Client, catalog: StubCatalog, shipping: StubShipping, settings: Settings, fault: Fault
) -> None:
    if fault in ("silence", "late answer"):
        settings.SHIPPING_READ_SECONDS = 0.3
    shipping.faults = [fault] * 3
    answer = order(client, body((1, 1)), "key")
    assert (answer.status_code, answer.json()["status"], answer.json()["shipment"]) == (201, "placed", "wanted")
    shipping.faults = []
    settings.SHIPPING_READ_SECONDS = 60.0
    again = order(client, body((1, 1)), "key")
    assert (again.status_code, again.json()["shipment"]) == (200, "booked")
    assert list(shipping.booked) == [answer.json()["id"]]
    assert catalog.methods() == ["GET", "PUT"]


@pytest.mark.usefixtures("catalog")
def test_orders_that_wait_for_shipping_are_resumed(client: Client, shipping: StubShipping, settings: Settings) -> None:
    url, settings.SHIPPING_URL = settings.SHIPPING_URL, NOWHERE
    waiting = [order(client, body((1, 1))).json()["id"] for _ in range(2)]
    with pytest.raises(CommandError, match="2 orders still wait"):
        resume()
    settings.SHIPPING_URL = url
    first, second = waiting
    assert resume() == f"order {first} is placed\norder {second} is placed\n"
    assert set(shipping.booked) == set(waiting)
    assert resume() == ""


@pytest.mark.usefixtures("catalog")
def test_a_shipping_that_is_away_is_asked_for_one_order_a_round_and_catalog_still_for_the_others(
    client: Client, catalog: StubCatalog, shipping: StubShipping, settings: Settings
) -> None:
    catalog.faults = ["busy"] * 3
    pending = order(client, body((1, 1))).json()["id"]
    shipping.faults = ["busy"] * 6
    unbooked = [order(client, body((1, 1))).json()["id"] for _ in range(2)]
    shipping.calls.clear()
    shipping.faults = ["busy"] * 3
    errands.go_round(0)
    assert len(shipping.calls) == 3
    assert stands(pending) == (Status.PLACED, Shipment.WANTED)
    errands.go_round(0)
    assert {stands(one) for one in [pending, *unbooked]} == {(Status.PLACED, Shipment.BOOKED)}


def test_a_cancelled_order_is_not_sent(client: Client, catalog: StubCatalog, shipping: StubShipping) -> None:
    placed = order(client, body((1, 4))).json()["id"]
    answer = cancel(client, placed)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (shipping.booked, shipping.taken_back) == ({}, {placed})
    assert catalog.stock[1] == 10


def test_an_order_on_its_way_cannot_be_cancelled(client: Client, catalog: StubCatalog, shipping: StubShipping) -> None:
    placed = order(client, body((1, 4))).json()["id"]
    shipping.on_their_way.add(placed)
    answer = cancel(client, placed)
    assert answer.status_code == 409
    assert "on its way" in answer.json()["detail"]
    assert stands(placed) == (Status.PLACED, Shipment.BOOKED)
    assert (catalog.stock[1], "DELETE" in catalog.methods()) == (6, False)


def test_a_cancellation_waits_for_shipping_and_holds_the_stock_until_then(
    client: Client, catalog: StubCatalog, shipping: StubShipping
) -> None:
    placed = order(client, body((1, 4))).json()["id"]
    shipping.faults = ["busy"] * 3
    answer = cancel(client, placed)
    assert (answer.status_code, answer.json()["status"], catalog.stock[1]) == (202, "cancelling", 6)
    assert f"order {placed} is cancelled" in resume()
    assert (catalog.stock[1], shipping.taken_back) == (10, {placed})


def test_a_cancellation_that_overtakes_the_booking_wins(
    client: Client, catalog: StubCatalog, shipping: StubShipping, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Shipping.book

    def book(self: Shipping, order_id: Any, *arguments: Any) -> None:
        assert cancel(Client(), str(order_id)).json()["status"] == "cancelled"
        original(self, order_id, *arguments)

    monkeypatch.setattr(Shipping, "book", book)
    answer = order(client, body((1, 4)))
    assert (answer.status_code, answer.json()["status"]) == (201, "cancelled")
    assert (catalog.stock[1], shipping.booked) == (10, {})


@pytest.mark.django_db(transaction=True)
def test_what_was_placed_before_there_was_shipping_is_sent_and_nothing_else(shipping: StubShipping) -> None:
    call_command("migrate", "orders", "0001", verbosity=0)
    before = MigrationExecutor(connection).loader.project_state(("orders", "0001_tables")).apps
    old = before.get_model("orders", "Order").objects
    paid = {"total_cents": 1, "currency": "EUR"}
    placed = old.create(idempotency_key="a", status="placed", name="Ada", address="1 Way", **paid)
    cancelled = old.create(idempotency_key="b", status="cancelled")
    call_command("migrate", "orders", verbosity=0)
    assert stands(str(cancelled.pk)) == (Status.CANCELLED, Shipment.NONE)
    assert resume() == f"order {placed.pk} is placed\n"
    assert set(shipping.booked) == {str(placed.pk)}
