"""Where the parcels of an order are, on its page."""

import time

import pytest
from flask import Flask

from storefront.shipping import Shipping
from tests.fakes import FakeOrders, FakeShipping
from tests.shopper import Page, Shopper


@pytest.fixture
def page(shopper: Shopper) -> Page:
    """That of an order that was just placed."""
    shopper.put_in_basket(7, 2)
    return shopper.send("/checkout", shopper.checkout_form())


def test_an_order_that_is_not_handed_over_yet_says_so(page: Page) -> None:
    assert "To be handed over to shipping" in page.text
    assert "We send it within three days." in page.text


@pytest.mark.parametrize(
    ("status", "parcels", "words"),
    [
        ("ready", 1, "One parcel, being packed"),
        ("ready", 3, "3 parcels, being packed"),
        ("dispatched", 1, "On the way, number PN5F0C1B2A"),
        ("delivered", 1, "Delivered, number PN5F0C1B2A"),
        ("cancelled", 1, "Taken back"),
    ],
)
def test_the_page_says_where_the_parcels_are(
    shopper: Shopper, shipping: FakeShipping, page: Page, status: str, parcels: int, words: str
) -> None:
    order_id = page.path.rpartition("/")[2]
    shipping.book(order_id, status, parcels)
    text = shopper.get(page.path, **{"X-Request-Id": "id-of-mine"}).text
    assert words in text
    assert shipping.seen[-1].headers["X-Request-Id"] == "id-of-mine"


def test_what_is_on_its_way_has_no_button_to_cancel_it(shopper: Shopper, shipping: FakeShipping, page: Page) -> None:
    assert page.all("form", action=f"{page.path}/cancel")
    shipping.book(page.path.rpartition("/")[2], "dispatched")
    assert not shopper.get(page.path).all("form", action=f"{page.path}/cancel")


@pytest.mark.parametrize("broken", ["fails", "talks nonsense", "refuses", "is not there", "hangs"])
def test_without_shipping_an_order_can_be_read(
    app: Flask, shopper: Shopper, shipping: FakeShipping, page: Page, broken: str
) -> None:
    match broken:
        case "fails":
            shipping.fails_with = 503
        case "refuses":
            shipping.fails_with = 400
        case "talks nonsense":
            shipping.talks_nonsense = True
            shipping.book(page.path.rpartition("/")[2])
        case "is not there":
            app.extensions["shipping"] = Shipping("http://127.0.0.1:9")
        case "hangs":
            app.extensions["shipping"] = Shipping(shipping.url, patience=0.1)
            shipping.goes_on.clear()
    began = time.monotonic()
    answer = shopper.get(page.path)
    assert (answer.status, "Thank you, Ada Lovelace." in answer.text) == (200, True)
    assert "Nobody at shipping answers just now; your order is safe" in answer.text
    assert time.monotonic() - began < 5


def test_only_a_placed_order_has_parcels(shopper: Shopper, orders: FakeOrders, shipping: FakeShipping) -> None:
    orders.status = "pending"
    shopper.put_in_basket(7)
    page = shopper.send("/checkout", shopper.checkout_form())
    assert "Nobody at shipping" not in page.text
    assert "handed over" not in page.text
    assert not shipping.seen
