"""From a basket to an order: one form, which may be sent twice and orders once."""

import re

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from storefront.basket import Contents
from storefront.orders import Customer, KeyWasUsedError, Order
from storefront.pages.basket import contents
from storefront.pages.behind import order_desk
from storefront.service import RefusedError, ServiceDownError

LONGEST = {"name": 120, "email": 254, "address": 500}
MISSING = {
    "name": "Please tell us your name.",
    "email": "Please tell us your email address.",
    "address": "Please tell us where to send it.",
}
BAD_EMAIL = "This does not look like an email address; it should be like ada@example.org."
CHANGED = "A price or your basket has changed since this page was shown. Please look at it again."
SENT_BEFORE = (
    "An order was already sent from this form, with other details. If you want a second order, send the form again."
)
UNREACHABLE = (
    "The order desk does not answer just now. Your basket is kept, "
    "and sending the form again will not order anything twice."
)

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")

pages = Blueprint("checkout", __name__, url_prefix="/checkout")

Answer = str | tuple[str, int] | tuple[str, int, dict[str, str]] | Response


@pages.get("")
def show() -> Answer:
    basket = contents()
    if not basket.lines or basket.is_short:
        return redirect(url_for("basket.show"), 303)
    return _form(basket, {}, {})


@pages.post("")
def place() -> Answer:
    key = request.form.get("order_key", "")
    already = g.purchases.made_with(key)
    if already is not None:
        return redirect(url_for("orders.show", order_id=already), 303)
    basket = contents()
    if not basket.lines:
        return redirect(url_for("basket.show"), 303)
    fields = {name: _clean(request.form.get(name, "")) for name in LONGEST}
    fields["email"] = fields["email"].lower()
    errors = _errors(fields)
    if errors:
        return _form(basket, fields, errors), 422
    if key != g.purchases.next_key or request.form.get("total_cents") != str(basket.cents):
        return _form(basket, fields, {}, notice=CHANGED), 409
    try:
        order = order_desk().place(key, Customer(**fields), g.basket.quantities)
    except ServiceDownError:
        return _form(basket, fields, {}, notice=UNREACHABLE), 503, {"Retry-After": "5"}
    except KeyWasUsedError:
        g.purchases.renew_key()
        return _form(basket, fields, {}, notice=SENT_BEFORE), 409
    except RefusedError as error:
        errors = _errors_of(error)
        if not errors:
            raise
        return _form(basket, fields, errors), 422
    return _after(order, key, basket)


def _after(order: Order, key: str, basket: Contents) -> Response:
    g.purchases.renew_key()
    if order.status == "rejected":
        flash(_why(order, basket))
        return redirect(url_for("basket.show"), 303)
    g.purchases.remember(key, order.id)
    g.basket.clear()
    return redirect(url_for("orders.show", order_id=order.id), 303)


def _why(order: Order, basket: Contents) -> str:
    """Says of a rejected order what there is too little of."""
    short = {line["product_id"]: line["available"] for line in (order.rejection or {}).get("lines", [])}
    names = [
        f"{line.product.name} ({short[line.product.id]} left)" for line in basket.lines if line.product.id in short
    ]
    if not names:
        return "We could not take this order. Nothing was ordered; please look at your basket and try again."
    return f"Somebody was faster. Nothing was ordered, because there is too little of: {', '.join(names)}."


def _form(basket: Contents, fields: dict[str, str], errors: dict[str, str], notice: str = "") -> str:
    return render_template(
        "checkout.html",
        contents=basket,
        fields=fields,
        errors=errors,
        notice=notice,
        order_key=g.purchases.next_key,
        longest=LONGEST,
    )


def _clean(text: str) -> str:
    """As people mean it: no spaces around, one kind of line break, nothing that cannot be printed."""
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(lines).strip().replace("\0", "")


def _errors(fields: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, text in fields.items():
        if not text:
            found[name] = MISSING[name]
        elif len(text) > LONGEST[name]:
            found[name] = f"This is longer than {LONGEST[name]} characters."
    if "email" not in found and not _EMAIL.fullmatch(fields["email"]):
        found["email"] = BAD_EMAIL
    return found


def _errors_of(refusal: RefusedError) -> dict[str, str]:
    """The fields that the order desk did not like, out of its JSON pointers."""
    found = {}
    for error in refusal.problem.get("errors", []):
        _, _, name = str(error.get("pointer", "")).partition("/customer/")
        if name in LONGEST:
            found[name] = str(error.get("detail", "Please look at this again."))
    return found
