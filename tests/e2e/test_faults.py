"""Somebody shops while services restart, reload, die and come back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial

import httpx
import pytest
from browser import Browser
from processes import children
from shop import Shop, is_running, until

ROUNDS_WHILE_IT_HAPPENS = 3
MOST_ROUNDS = 500


class Shopper(threading.Thread):
    """Goes on ordering until told to stop. A request that fails ends it, and is the test's failure."""

    def __init__(self, gateway: str, number: int) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.email = f"shopper-{number}@example.org"
        self.product = number
        self.rounds = 0
        self.enough = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with Browser(self.gateway) as browser:
                while not self.enough.is_set() and self.rounds < MOST_ROUNDS:
                    browser.get("/products?sort=price")
                    page = browser.order(self.product, self.email)
                    assert "Thank you" in page.text, page.text
                    browser.send(f"{page.url.path}/cancel", browser.token_on(page))
                    self.rounds += 1
        except BaseException as error:
            self.error = error


def shop_while(shop: Shop, first: int, happens: Callable[[], object]) -> list[Shopper]:
    """Two people shop before, while and after it happens; none of their requests fails."""
    shoppers = [Shopper(shop.gateway, number) for number in in_stock(shop, 2, first)]
    for shopper in shoppers:
        shopper.start()
    try:
        go_on(shoppers)
        happens()
        go_on(shoppers)
    finally:
        for shopper in shoppers:
            shopper.enough.set()
        for shopper in shoppers:
            shopper.join(60)
    for shopper in shoppers:
        if shopper.error is not None:
            raise AssertionError(f"a request failed:\n{shop.told()}") from shopper.error
    return shoppers


def go_on(shoppers: list[Shopper]) -> None:
    """Some more rounds of each."""
    begun = [shopper.rounds for shopper in shoppers]

    def has_gone_on() -> bool:
        failed = any(shopper.error for shopper in shoppers)
        pairs = zip(shoppers, begun, strict=True)
        return failed or all(shopper.rounds >= before + ROUNDS_WHILE_IT_HAPPENS for shopper, before in pairs)

    until(has_gone_on, "more rounds of each shopper")


def says(browser: Browser, words: str) -> bool:
    return words in browser.get("/").text


def pids(shop: Shop, service: str) -> set[int]:
    """Its instances, also those that are finishing their last requests."""
    return {instance["pid"] for instance in shop.services()[service]["instances"]}


def in_stock(shop: Shop, count: int, first: int) -> list[int]:
    rows = shop.query("catalog", "SELECT id FROM products WHERE stock > 10 ORDER BY id LIMIT ? OFFSET ?", count, first)
    return [int(row[0]) for row in rows]


@pytest.mark.parametrize(("first", "service"), [(0, "catalog"), (2, "orders"), (4, "storefront"), (6, "shipping")])
def test_a_restart_of_a_service_costs_no_request(shop: Shop, first: int, service: str) -> None:
    before = pids(shop, service)
    shoppers = shop_while(shop, first, lambda: shop.command("restart", service))
    until(lambda: before.isdisjoint(pids(shop, service)), f"the end of the old {service}")
    for shopper in shoppers:
        rows = shop.order_rows(shopper.email)
        assert len(rows) >= shopper.rounds
        assert {row[1] for row in rows} <= {"cancelled", "placed"}


@pytest.mark.parametrize(("first", "service"), [(8, "storefront"), (10, "shipping")])
def test_a_second_instance_comes_and_goes_without_a_failed_request(shop: Shop, first: int, service: str) -> None:
    def scale() -> None:
        shop.command("scale", f"{service}=2")
        assert len(pids(shop, service)) == 2
        shop.command("scale", f"{service}=1")

    shop_while(shop, first, scale)
    until(lambda: len(pids(shop, service)) == 1, "the end of the second instance")


def test_without_shipping_shopping_goes_on_and_its_parcels_follow(shop: Shop, browser: Browser) -> None:
    (guard,) = pids(shop, "shipping")
    # What is stopped answers nobody, and nobody starts it again.
    stopped = children(guard)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        page = browser.order(in_stock(shop, 1, 16)[0], "patient@example.org")
        assert "Thank you" in page.text
        assert "Nobody at shipping answers just now; your order is safe" in page.text
        order = page.url.path.rpartition("/")[2]
        assert [row[1] for row in shop.order_rows("patient@example.org")] == ["placed"]
        assert shop.shipment(order) is None
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    until(lambda: "being packed" in browser.get(page.url.path).text, "the parcel of the order")
    assert shop.shipment(order) == "ready"


def test_shipping_that_dies_under_shoppers_costs_no_order(shop: Shop) -> None:
    def kill() -> None:
        for _ in range(3):
            (leader,) = pids(shop, "shipping")
            os.kill(leader, signal.SIGKILL)
            until(lambda leader=leader: pids(shop, "shipping").isdisjoint({leader}), "its end")  # type: ignore[misc]
            until(lambda: shop.states()["shipping"] == "ready", "the next process of shipping")

    shoppers = shop_while(shop, 18, kill)

    def is_settled() -> bool:
        rows = [row for shopper in shoppers for row in shop.order_rows(shopper.email)]
        return {row[1] for row in rows} <= {"cancelled"}

    until(is_settled, "the end of every cancellation")


def test_a_changed_file_is_what_the_next_shopper_sees(shop: Shop) -> None:
    page = shop.folder / "services/storefront/storefront/templates/home.html"
    text = page.read_text()

    def change() -> None:
        with Browser(shop.gateway) as browser:
            for words in ("Room by room", "By the room"):
                page.write_text(text.replace("By the room", words))
                until(partial(says, browser, words), f"a page that says {words}")

    shop_while(shop, 12, change)


def test_a_mistake_in_a_file_costs_no_request(shop: Shop) -> None:
    module = shop.folder / "services/catalog/catalog/products.py"
    text = module.read_text()

    def mistake() -> None:
        module.write_text(text + "\nthis is no Python\n")
        until(partial(shop.said, "catalog", "SyntaxError"), "a word about the mistake")
        module.write_text(text + "\nMENDED = True\n")
        until(partial(shop.said, "catalog", "reloaded in"), "the mended module")

    shop_while(shop, 14, mistake)


@pytest.mark.parametrize("service", ["catalog", "orders", "storefront", "shipping", "gateway", "hub"])
def test_what_is_killed_comes_back_and_the_basket_is_kept(shop: Shop, browser: Browser, service: str) -> None:
    browser.put_in_basket(in_stock(shop, 1, 12)[0], 2)
    (killed,) = pids(shop, service)
    os.kill(killed, signal.SIGKILL)
    answers = set()

    def is_back() -> bool:
        try:
            answers.add(browser.client.get("/basket").status_code)
        except httpx.TransportError:
            # Only the gateway's own end is seen by a browser as a broken connection.
            assert service == "gateway"
            return False
        now = pids(shop, service)
        return bool(now) and killed not in now and shop.states()[service] == "ready"

    until(is_back, f"the next process of {service}")
    # Kind words or the page, nothing else.
    assert answers <= {200, 502, 503}
    assert 'value="2"' in browser.get("/basket").text
    page = browser.send("/checkout", browser.checkout_form(f"killed-{service}@example.org"))
    assert "Thank you" in page.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_shop_that_ends_and_starts_again_has_forgotten_nothing(
    shop: Shop, browser: Browser, number: signal.Signals
) -> None:
    email = f"tomorrow-{number.name}@example.org".lower()
    page = browser.order(in_stock(shop, 1, 14)[0], email)
    browser.put_in_basket(in_stock(shop, 1, 15)[0], 2)
    processes = {pid for service in shop.services() for pid in pids(shop, service)}
    assert shop.end(number) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    until(lambda: not any(map(is_running, processes)), "the end of all processes")
    gateway = shop.gateway
    shop.start()
    # Ports are remembered, too: a browser's bookmark still leads here.
    assert shop.gateway == gateway
    assert "Thank you" in browser.get(page.url.path).text
    assert 'value="2"' in browser.get("/basket").text
    assert len(shop.order_rows(email)) == 1
