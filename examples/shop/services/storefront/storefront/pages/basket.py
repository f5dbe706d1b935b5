"""The basket. Each change is a form that is sent, then a page that may be reloaded."""

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from storefront.basket import MOST_LINES, MOST_OF_ONE, Basket, Contents
from storefront.pages.behind import catalog

pages = Blueprint("basket", __name__, url_prefix="/basket")


def contents() -> Contents:
    basket: Basket = g.basket
    return Contents.of(basket, catalog().find(basket.quantities))


@pages.get("")
def show() -> str:
    return render_template("basket.html", contents=contents(), most=MOST_OF_ONE)


@pages.post("/add")
def add() -> Response:
    product = catalog().product(_number("product"))
    if product is None:
        abort(404)
    if product.stock == 0:
        flash(f"{product.name} is sold out just now.")
    elif not g.basket.has_room_for(product.id):
        flash(f"A basket holds {MOST_LINES} different things; yours is full.")
    else:
        g.basket.add(product.id, max(1, _number("quantity")))
        _begin_anew()
        flash(f"{product.name} is in your basket.")
    return redirect(url_for(".show"), 303)


@pages.post("/update")
def update() -> Response:
    for product_id in g.basket.quantities:
        if f"quantity-{product_id}" in request.form:
            g.basket.put(product_id, _number(f"quantity-{product_id}"))
    _begin_anew()
    flash("Your basket is up to date.")
    return redirect(url_for(".show"), 303)


@pages.post("/remove")
def remove() -> Response:
    g.basket.remove(_number("product"))
    _begin_anew()
    flash("Taken out of your basket.")
    return redirect(url_for(".show"), 303)


def _begin_anew() -> None:
    """Another basket is another order, also where the first was sent and its answer got lost."""
    g.purchases.renew_key()


def _number(field: str) -> int:
    """A whole number of at most ten digits from a form."""
    text = request.form.get(field, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        abort(400)
    return int(text)
