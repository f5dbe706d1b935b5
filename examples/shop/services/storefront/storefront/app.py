"""Puts the application together."""

import hashlib
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, g, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin

from storefront import forgery, tracing
from storefront.basket import Basket
from storefront.catalog import Catalog, Product
from storefront.orders import Orders
from storefront.pages import basket, browse, checkout, errors, orders
from storefront.pages.behind import catalog
from storefront.pictures import picture_name
from storefront.purchases import Purchases
from storefront.settings import Settings
from storefront.shipping import Shipping

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
ONE_MONTH = 30 * 24 * 3600
ONE_YEAR = 365 * 24 * 3600
SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}


def create_app(settings: Settings | None = None) -> Flask:
    app = Flask(__name__)
    settings = settings or Settings.from_environment(Path(app.root_path).parent / "instance")
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=64 * 1024,
        PERMANENT_SESSION_LIFETIME=ONE_MONTH,
        SEND_FILE_MAX_AGE_DEFAULT=ONE_YEAR,
        SESSION_COOKIE_NAME="harbour",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
    )
    app.session_interface = LastingSessions()
    app.extensions["catalog"] = Catalog(settings.catalog_url)
    app.extensions["orders"] = Orders(settings.orders_url)
    app.extensions["shipping"] = Shipping(settings.shipping_url)
    tracing.install(app)
    app.before_request(_begin)
    forgery.install(app)
    errors.install(app)
    for page in (browse.pages, basket.pages, checkout.pages, orders.pages):
        app.register_blueprint(page)
    app.after_request(_secure)
    app.context_processor(_frame)
    app.jinja_env.filters["money"] = money
    app.jinja_env.globals.update(asset=asset, picture=picture)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    return app


class LastingSessions(SecureCookieSessionInterface):
    """Cookies that outlive the browser's window, and are only sent when something in them has changed.

    A picture thus sets none, and cannot bring back the basket of a moment ago.
    """

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime:
        return datetime.now(timezone.utc) + app.permanent_session_lifetime

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        return session.modified


def _begin() -> None:
    g.basket = Basket(session)
    g.purchases = Purchases(session)


def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    # A page shows a shopper's own basket; pictures and styles say themselves how long they keep.
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def _frame() -> dict[str, Any]:
    """What the frame around every page shows. It calls nothing, so that the page of an error has a frame as well."""
    return {"known_categories": catalog().known_categories(), "basket_count": g.basket.count if "basket" in g else 0}


def money(cents: int, currency: str = "EUR") -> str:
    amount = f"{cents // 100:,}.{cents % 100:02}"
    return f"{SYMBOLS[currency]}{amount}" if currency in SYMBOLS else f"{amount} {currency}"


def picture(product: Product) -> str:
    return url_for("browse.picture", name=picture_name(product.picture, product.colour))


def asset(filename: str) -> str:
    """The address of a file in `static/`, which changes with its contents, so that browsers may keep it for a year."""
    return url_for("static", filename=filename, v=_digest(Path(current_app.static_folder or "") / filename))


@lru_cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
