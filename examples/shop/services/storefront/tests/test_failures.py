import logging
import time

import pytest
from flask import Flask

from storefront import catalog as catalog_module
from tests.fakes import FakeCatalog, FakeOrders
from tests.shopper import Shopper

PAGES_OF_THE_CATALOGUE = ["/", "/products", "/products/1", "/basket", "/checkout"]


@pytest.mark.parametrize("path", PAGES_OF_THE_CATALOGUE)
def test_without_the_catalogue_a_page_says_so_kindly(shopper: Shopper, catalog: FakeCatalog, path: str) -> None:
    shopper.put_in_basket(1)
    catalog.fails_with = 503
    page = shopper.get(path)
    assert page.status == 503
    assert page.response.headers["Retry-After"] == "5"
    assert "The shelves are being rearranged" in page.text
    assert "Your basket is kept" in page.text
    assert path in page.links()
    # The frame is there as before: the way to the categories, and how much is in the basket.
    assert "/products?category=kitchen" in page.links()
    assert "Basket 1 thing" in page.text


def test_the_basket_is_there_when_the_catalogue_is_back(shopper: Shopper, catalog: FakeCatalog) -> None:
    shopper.put_in_basket(1, 3)
    catalog.fails_with = 500
    shopper.get("/basket")
    catalog.fails_with = None
    assert shopper.get("/basket").form("/basket/update")["quantity-1"] == "3"


def test_a_catalogue_that_talks_nonsense_counts_as_down(shopper: Shopper, catalog: FakeCatalog) -> None:
    catalog.talks_nonsense = True
    assert shopper.get("/").status == 503


def test_a_catalogue_that_is_not_there_at_all_counts_as_down(app: Flask, catalog: FakeCatalog) -> None:
    app.extensions["catalog"] = catalog_module.Catalog("http://127.0.0.1:9")
    assert Shopper(app).get("/products/1").status == 503


def test_nobody_waits_long_for_a_catalogue_that_hangs(app: Flask, catalog: FakeCatalog) -> None:
    app.extensions["catalog"] = catalog_module.Catalog(catalog.url, patience=0.1)
    catalog.goes_on.clear()
    began = time.monotonic()
    assert Shopper(app).get("/products/1").status == 503
    assert time.monotonic() - began < 5


def test_an_old_list_of_categories_is_better_than_none(
    shopper: Shopper, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper.get("/products")
    monkeypatch.setattr(catalog_module, "CATEGORIES_ARE_FRESH_FOR", -1.0)
    catalog.fails_for = "/api/products/categories"
    assert "/products?category=kitchen" in shopper.get("/products").links()


def test_a_broken_connection_costs_a_reader_nothing(shopper: Shopper, catalog: FakeCatalog) -> None:
    shopper.get("/")
    catalog.broken_connections = 1
    assert shopper.get("/products/1").status == 200


def test_without_the_order_desk_shopping_goes_on(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(1)
    shopper.send("/checkout", shopper.checkout_form())
    orders.fails_with = 503
    page = shopper.get("/my/orders")
    assert (page.status, "The order desk is closed" in page.text) == (503, True)
    assert shopper.get("/").status == 200
    assert shopper.put_in_basket(2).status == 200


def test_without_pictures_an_order_can_be_read(shopper: Shopper, catalog: FakeCatalog) -> None:
    shopper.put_in_basket(1)
    page = shopper.send("/checkout", shopper.checkout_form())
    catalog.fails_with = 503
    assert "Thank you" in shopper.get(page.path).text


def test_a_mistake_of_ours_is_a_page_without_a_traceback(
    app: Flask, shopper: Shopper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app.extensions["catalog"], "product", lambda _: 1 / 0)
    page = shopper.get("/products/1", **{"X-Request-Id": "id-of-mine"})
    assert (page.status, "Something broke" in page.text) == (500, True)
    assert "id-of-mine" in page.text
    assert "ZeroDivision" not in page.response.text
    assert "ZeroDivisionError" in caplog.text


def test_a_service_that_is_down_is_logged_with_the_request(
    shopper: Shopper, catalog: FakeCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    catalog.fails_with = 503
    with caplog.at_level(logging.WARNING):
        shopper.get("/products/1", **{"X-Request-Id": "id-of-mine"})
    assert "catalog is down: GET /api/products/1 answered 503 [request id-of-mine]" in caplog.text


def test_more_than_a_form_can_hold_is_refused(shopper: Shopper) -> None:
    form = {"csrf_token": shopper.token(), "address": "x" * 100_000}
    assert shopper.send("/checkout", form).status == 413


def test_another_method_is_refused_kindly(shopper: Shopper) -> None:
    page = shopper.get("/basket/add")
    assert (page.status, set(page.response.allow or ())) == (405, {"POST", "OPTIONS"})
