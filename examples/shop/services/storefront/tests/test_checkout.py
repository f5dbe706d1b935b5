from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from tests.fakes import FakeCatalog, FakeOrders
from tests.shopper import Shopper

ADDRESS = {"name": "Ada Lovelace", "email": "ada@example.org", "address": "1 Analytical Way\nLondon"}


def test_an_order_is_placed_shown_and_listed(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7, 2)
    page = shopper.send("/checkout", shopper.checkout_form())
    (order_id,) = orders.orders
    assert page.path == f"/my/orders/{order_id}"
    assert "Thank you, Ada Lovelace." in page.text
    (sent,) = orders.calls("POST", "/orders")
    assert sent.body["customer"] == ADDRESS
    assert [(line["product_id"], line["quantity"]) for line in sent.body["lines"]] == [(7, 2)]
    assert "Your basket is empty" in shopper.get("/basket").text
    assert f"/my/orders/{order_id}" in shopper.get("/my/orders").links()


def test_sending_the_form_again_shows_the_same_order(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    form = shopper.checkout_form()
    first, second = shopper.send("/checkout", form), shopper.send("/checkout", form)
    assert first.path == second.path
    assert len(orders.orders) == 1


def test_a_double_click_orders_once(app: Flask, shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    form = shopper.checkout_form()
    cookie = shopper.client.get_cookie("harbour")
    assert cookie is not None

    def click(_: int) -> str | None:
        client = app.test_client()
        client.set_cookie("harbour", cookie.value)
        return client.post("/checkout", data=form).location

    with ThreadPoolExecutor(8) as pool:
        places = set(pool.map(click, range(8)))
    assert places == {f"/my/orders/{order_id}" for order_id in orders.orders}
    assert len(places) == 1


def test_a_lost_answer_and_another_try_order_once(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    form = shopper.checkout_form()
    orders.fails_with = 503
    page = shopper.send("/checkout", form)
    assert page.status == 503
    assert page.form("/checkout")["name"] == "Ada Lovelace"
    assert page.form("/checkout")["order_key"] == form["order_key"]
    assert shopper.get("/checkout").form("/checkout")["order_key"] == form["order_key"]
    orders.fails_with = None
    shopper.send("/checkout", page.form("/checkout"))
    assert list(orders.by_key) == [form["order_key"]]


def test_a_broken_connection_is_repeated_with_the_same_key(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    form = shopper.checkout_form()
    orders.broken_connections = 1
    assert shopper.send("/checkout", form).path.startswith("/my/orders/")
    keys = [seen.headers["Idempotency-Key"] for seen in orders.calls("POST", "/orders")]
    assert keys == [form["order_key"]] * 2


def test_what_is_missing_is_said_at_its_field_and_nothing_is_lost(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    page = shopper.send(
        "/checkout", shopper.checkout_form() | {"name": "  ", "email": "ada at home", "address": "a <b>"}
    )
    assert page.status == 422
    for name in ("name", "email"):
        (field,) = page.all("input", id=name)
        assert field.get("aria-invalid") == "true"
        assert page.all("p", id=field.get("aria-describedby") or "none")
    assert page.form("/checkout")["address"] == "a <b>"
    assert not orders.seen


def test_what_the_order_desk_does_not_like_is_said_at_its_field(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    orders.errors = [{"pointer": "/customer/email", "detail": "Enter a valid email address."}]
    page = shopper.send("/checkout", shopper.checkout_form())
    assert page.status == 422
    assert page.all("p", id="email-problem")[0].text == "Enter a valid email address."


def test_nobody_orders_for_another_price_than_was_shown(
    shopper: Shopper, catalog: FakeCatalog, orders: FakeOrders
) -> None:
    shopper.put_in_basket(7)
    form = shopper.checkout_form()
    catalog.products[7]["price_cents"] = 1999
    page = shopper.send("/checkout", form)
    assert (page.status, "Order for €19.99" in page.text) == (409, True)
    assert not orders.seen
    assert shopper.send("/checkout", page.form("/checkout")).path.startswith("/my/orders/")


def test_a_rejected_order_says_what_there_is_too_little_of(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7, 3)
    form = shopper.checkout_form()
    orders.status = "rejected"
    orders.rejection = {"reason": "out_of_stock", "lines": [{"product_id": 7, "wanted": 3, "available": 2}]}
    page = shopper.send("/checkout", form)
    assert page.path == "/basket"
    assert "Nothing was ordered" in page.text
    assert "Mug 7 (2 left)" in page.text
    assert shopper.checkout_form()["order_key"] != form["order_key"]


def test_a_key_that_was_used_for_another_order_asks_first(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    form = shopper.checkout_form()
    orders.by_key[form["order_key"]] = ("another body", {"id": "x", "status": "placed"})
    page = shopper.send("/checkout", form)
    assert (page.status, "With other details" in page.text or "with other details" in page.text) == (409, True)
    assert page.form("/checkout")["order_key"] != form["order_key"]


def test_an_order_key_of_somebody_else_is_not_sent_on(shopper: Shopper, orders: FakeOrders) -> None:
    shopper.put_in_basket(7)
    assert shopper.send("/checkout", shopper.checkout_form() | {"order_key": "0" * 32}).status == 409
    assert not orders.seen


def test_an_order_that_waits_for_the_catalogue_is_kept_and_can_be_confirmed(
    shopper: Shopper, orders: FakeOrders
) -> None:
    shopper.put_in_basket(7)
    form = shopper.checkout_form()
    orders.status = "pending"
    page = shopper.send("/checkout", form)
    assert "We have your order" in page.text
    orders.status = "placed"
    resume = f"{page.path}/resume"
    assert "Thank you" in shopper.send(resume, page.form(resume)).text
    assert len(orders.orders) == 1


def test_an_order_can_be_cancelled(shopper: Shopper) -> None:
    shopper.put_in_basket(7)
    page = shopper.send("/checkout", shopper.checkout_form())
    cancel = f"{page.path}/cancel"
    page = shopper.send(cancel, page.form(cancel))
    assert "Cancelled" in page.text
    assert not page.all("form", action=cancel)


def test_an_order_is_shown_to_nobody_else(app: Flask, shopper: Shopper) -> None:
    shopper.put_in_basket(7)
    page = shopper.send("/checkout", shopper.checkout_form())
    stranger = Shopper(app)
    assert stranger.get(page.path).status == 404
    assert stranger.send(f"{page.path}/cancel", {"csrf_token": stranger.token()}).status == 404
    assert "no orders" in stranger.get("/my/orders").text
