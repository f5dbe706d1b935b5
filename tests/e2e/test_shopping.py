"""Somebody shops: through the gateway, four services, three databases."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from browser import Browser
from shop import REPOSITORY, Shop, until


def plenty(browser: Browser) -> int:
    """A product of which there is a lot."""
    items = httpx.get(browser.client.base_url.join("/api/products"), params={"limit": 100}).json()["items"]
    return int(max(items, key=lambda item: item["stock"])["id"])


def test_somebody_looks_around(browser: Browser) -> None:
    assert "By the room" in browser.get("/").text
    first = browser.get("/products").text
    assert "Next page" in first
    assert "2 things for" in browser.get("/products?search=mug+sage").text
    assert browser.get("/pictures/mug-sage.svg").headers["content-type"].startswith("image/svg+xml")


def test_an_order_goes_through_all_services(shop: Shop, browser: Browser) -> None:
    product = plenty(browser)
    before = shop.stock(product)
    assert "is in your basket" in browser.put_in_basket(product, 3).text
    page = browser.send("/checkout", browser.checkout_form("whole@example.org"))
    assert "Thank you, Ada Lovelace." in page.text
    ((order_id, status, total),) = shop.order_rows("whole@example.org")
    assert status == "placed"
    assert total == 3 * httpx.get(f"{shop.gateway}/api/products/{product}").json()["price_cents"]
    assert shop.stock(product) == before - 3
    assert str(order_id).replace("-", "") in str(page.url).replace("-", "")
    assert page.url.path in browser.get("/my/orders").text


def test_a_cancelled_order_gives_its_stock_back(shop: Shop, browser: Browser) -> None:
    product = plenty(browser)
    before = shop.stock(product)
    page = browser.order(product, "sorry@example.org")
    assert shop.stock(product) == before - 1
    token = browser.token_on(page)
    assert "Cancelled" in browser.send(f"{page.url.path}/cancel", token).text
    assert shop.stock(product) == before
    assert [row[1] for row in shop.order_rows("sorry@example.org")] == ["cancelled"]


def test_a_double_click_orders_once(shop: Shop, browser: Browser) -> None:
    browser.put_in_basket(plenty(browser))
    form = browser.checkout_form("twice@example.org")
    cookies = dict(browser.client.cookies)

    def click(_: int) -> str:
        return str(httpx.post(f"{shop.gateway}/checkout", data=form, cookies=cookies, timeout=30).headers["location"])

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(click, range(6)))) == 1
    assert len(shop.order_rows("twice@example.org")) == 1


def test_nobody_buys_what_is_gone(shop: Shop, browser: Browser) -> None:
    items = httpx.get(f"{shop.gateway}/api/products", params={"limit": 100}).json()["items"]
    last = next(item["id"] for item in items if item["stock"] == 3)
    with Browser(shop.gateway) as other:
        for one in (browser, other):
            one.put_in_basket(last, 2)
        forms = [one.checkout_form("race@example.org") for one in (browser, other)]
        with ThreadPoolExecutor(2) as pool:
            pages = list(pool.map(lambda one, form: one.send("/checkout", form), (browser, other), forms))
    assert sorted("Thank you" in page.text for page in pages) == [False, True]
    assert shop.stock(last) == 1


def test_one_id_follows_a_request_through_all_services(shop: Shop, browser: Browser) -> None:
    browser.put_in_basket(plenty(browser))
    form = browser.checkout_form("trace@example.org")
    request_id = "e2e-follows-me"
    answer = browser.client.post("/checkout", data=form, headers={"X-Request-Id": request_id}, follow_redirects=False)
    assert (answer.status_code, answer.headers["x-request-id"]) == (303, request_id)
    for service in ("storefront", "orders", "catalog", "shipping"):
        until(partial(shop.said, service, request_id), f"{request_id} in a line of {service}")


def test_the_order_desk_has_no_place_at_the_gateway(shop: Shop) -> None:
    answer = httpx.get(f"{shop.gateway}/orders", params={"email": "whole@example.org"})
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


@pytest.fixture(scope="session")
def protocol() -> tuple[Any, Any]:
    """The messages and the client of shipping, as grpcio-tools makes them from its protocol."""
    folder = str(REPOSITORY / "examples/shop/services/shipping/proto/shop/shipping/v1")
    sys.path.insert(0, folder)
    try:
        return grpc.protos_and_services("shipping.proto")  # type: ignore[no-any-return]
    finally:
        sys.path.remove(folder)


def test_an_order_is_shipped_and_its_page_says_where_it_is(
    shop: Shop, browser: Browser, protocol: tuple[Any, Any]
) -> None:
    page = browser.order(plenty(browser), "parcel@example.org")
    assert "One parcel, being packed" in page.text
    order = page.url.path.rpartition("/")[2]
    messages, services = protocol
    shipping = str(shop.services()["shipping"]["url"])
    with grpc.insecure_channel(shipping.removeprefix("http://")) as channel:
        client = services.ShippingStub(channel)
        assert client.Quote(messages.QuoteRequest(things=1), timeout=30).price_cents == 490
        steps = client.Watch(messages.TrackRequest(order=order), timeout=60)
        assert next(steps).status == messages.STATUS_READY
        # Those who pack do this.
        assert httpx.post(f"{shipping}/shipments/{order}/dispatch").status_code == 200
        sent = next(steps)
        assert (sent.status, sent.tracking) == (messages.STATUS_DISPATCHED, f"PN{order.replace('-', '')[:12].upper()}")
        text = browser.get(page.url.path).text
        assert f"On the way, number {sent.tracking}" in text and "Cancel this order" not in text
        # Somebody who has the old page before them is told.
        late = browser.send(f"{page.url.path}/cancel", browser.token_on(browser.get("/products/1")))
        assert "cannot be cancelled any more" in late.text
        assert httpx.post(f"{shipping}/shipments/{order}/deliver").status_code == 200
        assert [step.status for step in steps] == [messages.STATUS_DELIVERED]
    assert "Delivered" in browser.get(page.url.path).text


def test_a_cancelled_order_is_not_sent(shop: Shop, browser: Browser) -> None:
    page = browser.order(plenty(browser), "stay@example.org")
    order = page.url.path.rpartition("/")[2]
    assert shop.shipment(order) == "ready"
    browser.send(f"{page.url.path}/cancel", browser.token_on(page))
    assert shop.shipment(order) == "cancelled"


@pytest.mark.parametrize("path", ["/shipments", "/reservations/some-reservation", "/healthz"])
def test_what_services_say_to_each_other_stays_inside(shop: Shop, path: str) -> None:
    answer = httpx.get(shop.gateway + path)
    # The window answers for its own health; the catalogue's reservations are nobody's business outside.
    assert (answer.status_code == 200) == (path == "/healthz")
