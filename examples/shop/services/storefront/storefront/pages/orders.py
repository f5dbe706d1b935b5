"""The orders of this session. Nobody else's: an order's address says where somebody lives."""

from flask import Blueprint, abort, flash, g, redirect, render_template, url_for
from werkzeug.wrappers import Response

from storefront.catalog import Product
from storefront.orders import KeyWasUsedError, Order
from storefront.pages.behind import catalog, order_desk, shipping_desk
from storefront.service import RefusedError, ServiceDownError
from storefront.shipping import Shipment

pages = Blueprint("orders", __name__, url_prefix="/my/orders")


@pages.get("")
def show_all() -> str:
    found = [order for order_id in g.purchases.ids if (order := order_desk().find(order_id)) is not None]
    return render_template("orders.html", orders=found)


@pages.get("/<uuid:order_id>")
def show(order_id: object) -> str:
    order = _mine(str(order_id))
    shipment, is_known = _shipment_of(order)
    return render_template(
        "order.html", order=order, products=_products_of(order), shipment=shipment, shipment_is_known=is_known
    )


@pages.post("/<uuid:order_id>/resume")
def resume(order_id: object) -> Response:
    order = _mine(str(order_id))
    key = g.purchases.key_of(order.id)
    if order.status == "pending" and key is not None:
        try:
            order_desk().resume(key, order)
        except (KeyWasUsedError, RefusedError):
            flash("We could not hurry this order; it stays with us until it is confirmed.")
    return _back_to(order)


@pages.post("/<uuid:order_id>/cancel")
def cancel(order_id: object) -> Response:
    order = _mine(str(order_id))
    try:
        order_desk().cancel(order.id)
    except RefusedError:
        flash("This order cannot be cancelled any more.")
    return _back_to(order)


def _mine(order_id: str) -> Order:
    found = order_desk().find(order_id) if order_id in g.purchases.ids else None
    if found is None:
        abort(404)
    return found


def _products_of(order: Order) -> dict[int, Product]:
    """Their pictures are welcome, but an order can be read without."""
    try:
        return catalog().find(line.product_id for line in order.lines)
    except ServiceDownError:
        return {}


def _shipment_of(order: Order) -> tuple[Shipment | None, bool]:
    """Where its parcels are, and whether anybody could tell. An order can be read without that, too."""
    if order.status != "placed":
        return None, True
    try:
        return shipping_desk().find(order.id), True
    except (RefusedError, ServiceDownError):
        return None, False


def _back_to(order: Order) -> Response:
    return redirect(url_for(".show", order_id=order.id), 303)
