import pytest

from storefront.basket import MOST_LINES
from tests.fakes import FakeCatalog, product
from tests.shopper import Shopper


def test_a_basket_adds_changes_and_removes(shopper: Shopper) -> None:
    shopper.put_in_basket(1, 2)
    shopper.put_in_basket(1, 1)
    page = shopper.put_in_basket(2)
    assert page.path == "/basket"
    assert page.form("/basket/update") | {"csrf_token": ""} == {"csrf_token": "", "quantity-1": "3", "quantity-2": "1"}
    assert "€58.00" in page.text
    page = shopper.send("/basket/update", page.form("/basket/update") | {"quantity-1": "1"})
    assert "€29.00" in page.text
    page = shopper.send("/basket/remove", page.form("/basket/remove") | {"product": "1"})
    assert "€14.50" in page.text
    page = shopper.send("/basket/update", page.form("/basket/update") | {"quantity-2": "0"})
    assert "Your basket is empty" in page.text


def test_what_is_no_longer_sold_leaves_the_basket(shopper: Shopper, catalog: FakeCatalog) -> None:
    shopper.put_in_basket(1)
    shopper.put_in_basket(2)
    del catalog.products[1]
    assert "Mug 1" not in shopper.get("/basket").text
    assert "Mug 2" in shopper.get("/basket").text


def test_a_basket_with_more_than_there_is_does_not_reach_the_checkout(shopper: Shopper, catalog: FakeCatalog) -> None:
    shopper.put_in_basket(1, 5)
    catalog.products[1]["stock"] = 2
    page = shopper.get("/checkout")
    assert page.path == "/basket"
    assert "There are only 2 left." in page.text


def test_a_full_basket_fits_into_its_cookie_and_takes_no_more(shopper: Shopper, catalog: FakeCatalog) -> None:
    catalog.products = {number: product(number) for number in range(10_000_000, 10_000_100)}
    form = {"csrf_token": shopper.get("/products/10000000").form("/basket/add")["csrf_token"], "quantity": "20"}
    for number in range(10_000_000, 10_000_000 + MOST_LINES):
        shopper.client.post("/basket/add", data=form | {"product": str(number)})
    page = shopper.send("/basket/add", form | {"product": "10000090"})
    assert "yours is full" in page.text
    cookie = shopper.client.get_cookie("harbour")
    assert cookie is not None
    assert len(cookie.value) < 2500


@pytest.mark.parametrize("quantity", ["", "-1", "1.5", "x", "\u0663", "9" * 20])
def test_a_quantity_that_is_no_number_is_a_kind_400(shopper: Shopper, quantity: str) -> None:
    form = shopper.get("/products/1").form("/basket/add")
    page = shopper.send("/basket/add", form | {"quantity": quantity})
    assert (page.status, "That did not work" in page.text) == (400, True)


@pytest.mark.parametrize("action", ["/basket/add", "/basket/update", "/basket/remove", "/checkout"])
@pytest.mark.parametrize("token", [{}, {"csrf_token": ""}, {"csrf_token": "forged"}, {"csrf_token": "\u00e4"}])
def test_a_form_of_another_site_is_refused(shopper: Shopper, action: str, token: dict[str, str]) -> None:
    shopper.put_in_basket(1)
    page = shopper.send(action, {"product": "2", "quantity": "1", "quantity-1": "9", **token})
    assert page.status == 400
    assert shopper.get("/basket").form("/basket/update")["quantity-1"] == "1"


def test_without_a_session_no_token_is_right(shopper: Shopper) -> None:
    assert shopper.send("/basket/add", {"product": "1", "quantity": "1", "csrf_token": ""}).status == 400


def test_a_cookie_with_another_signature_is_an_empty_basket(shopper: Shopper) -> None:
    shopper.put_in_basket(1)
    cookie = shopper.client.get_cookie("harbour")
    assert cookie is not None
    shopper.client.set_cookie("harbour", cookie.value[:-4] + "AAAA")
    assert "Your basket is empty" in shopper.get("/basket").text
