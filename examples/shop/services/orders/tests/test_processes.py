"""The service as it runs: several processes on one database, killed at the worst moment."""

import os
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests import processes
from tests.shop import body
from tests.stub_catalog import StubCatalog
from tests.stub_shipping import StubShipping

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "")

needs_postgres = pytest.mark.skipif(
    not POSTGRES,
    reason="PostgreSQL is left out; to have it: pip install -r requirements-postgres.txt, and "
    "TEST_POSTGRES_URL=postgresql://user@host/postgres in the environment, where databases may be made",
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'orders.sqlite3'}"
        return
    psycopg = pytest.importorskip("psycopg")
    name = f"orders_test_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def post(url: str, key: str, *lines: tuple[int, int]) -> requests.Response:
    return requests.post(f"{url}/orders", json=body(*lines), headers={"Idempotency-Key": key}, timeout=60)


def test_one_key_from_many_at_once_is_one_order_and_one_reservation(
    database_url: str, catalog: StubCatalog, shipping: StubShipping
) -> None:
    with processes.orders(database_url, catalog.url, shipping.url) as url:
        together = threading.Barrier(20)

        def press(_number: int) -> requests.Response:
            together.wait()
            return post(url, "impatient", (1, 3), (2, 1))

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(press, range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        assert len({answer.text for answer in answers}) == 1
        assert answers[0].json()["status"] == "placed"
        assert len(requests.get(f"{url}/orders?email=ada@example.org", timeout=10).json()["items"]) == 1
    assert len(catalog.held) == len(shipping.booked) == 1
    assert catalog.stock == {1: 7, 2: 9, 3: 0}


def test_many_orders_at_once_are_all_answered_and_sell_no_more_than_there_is(
    database_url: str, catalog: StubCatalog, shipping: StubShipping
) -> None:
    with processes.orders(database_url, catalog.url, shipping.url) as url, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: post(url, f"key-{number}", (1, 3)), range(60)))
        assert {answer.status_code for answer in answers} == {201}
        assert sorted(answer.json()["status"] for answer in answers) == ["placed"] * 3 + ["rejected"] * 57
    assert catalog.stock[1] == 1


def test_an_order_survives_the_death_of_the_service_while_its_stock_is_held(
    database_url: str, catalog: StubCatalog, shipping: StubShipping
) -> None:
    catalog.faults = [None, "late answer"]
    with ThreadPoolExecutor(1) as pool:
        with processes.orders(database_url, catalog.url, shipping.url) as url:
            cut_off = pool.submit(post, url, "key", (1, 4))
            assert catalog.something_held.wait(30)
        assert isinstance(cut_off.exception(30), requests.ConnectionError)
    with processes.orders(database_url, catalog.url, shipping.url) as url:
        waiting = requests.get(f"{url}/orders?email=ada@example.org", timeout=10).json()["items"]
        assert [order["status"] for order in waiting] == ["pending"]
        answer = post(url, "key", (1, 4))
    assert (answer.status_code, answer.json()["status"]) == (200, "placed")
    assert answer.json()["id"] == waiting[0]["id"]
    assert catalog.stock[1] == 6


def test_what_was_left_unfinished_is_finished_without_being_asked(
    database_url: str, catalog: StubCatalog, shipping: StubShipping
) -> None:
    catalog.faults = ["busy"] * 10_000
    shipping.faults = ["busy"] * 10_000
    with processes.orders(database_url, catalog.url, shipping.url, errands=0.2) as url:
        made = [post(url, f"key-{number}", (1, 1)).json() for number in range(2)]
        assert {order["status"] for order in made} == {"pending"}
        catalog.faults = []

        def standing() -> list[tuple[str, str]]:
            items = requests.get(f"{url}/orders?email=ada@example.org", timeout=10).json()["items"]
            return [(item["status"], item["shipment"]) for item in items]

        def wait_for(expected: list[tuple[str, str]]) -> None:
            deadline = time.monotonic() + 60
            while standing() != expected:
                assert time.monotonic() < deadline, standing()

        wait_for([("placed", "wanted")] * 2)
        shipping.faults = []
        wait_for([("placed", "booked")] * 2)
    assert set(shipping.booked) == {order["id"] for order in made}
    assert catalog.stock[1] == 8
