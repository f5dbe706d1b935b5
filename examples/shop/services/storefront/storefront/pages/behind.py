"""The services behind the pages, as the application keeps them."""

from flask import current_app

from storefront.catalog import Catalog
from storefront.orders import Orders
from storefront.shipping import Shipping


def catalog() -> Catalog:
    found: Catalog = current_app.extensions["catalog"]
    return found


def order_desk() -> Orders:
    found: Orders = current_app.extensions["orders"]
    return found


def shipping_desk() -> Shipping:
    found: Shipping = current_app.extensions["shipping"]
    return found
