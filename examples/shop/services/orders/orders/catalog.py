"""Calls to catalog: what products are called and cost, stock held for an order and given back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from orders.calling import RefusedError, Service, unexpected


@dataclass(frozen=True)
class Product:
    id: int
    sku: str
    name: str
    price_cents: int
    currency: str


@dataclass(frozen=True)
class Shortage:
    product_id: int
    wanted: int
    available: int


class OutOfStockError(Exception):
    def __init__(self, shortages: list[Shortage]) -> None:
        super().__init__("not enough stock")
        self.shortages = shortages


@dataclass(frozen=True)
class Catalog(Service):
    name = "catalog"

    @classmethod
    def from_settings(cls, request_id: str) -> "Catalog":
        timeout = (settings.CATALOG_CONNECT_SECONDS, settings.CATALOG_READ_SECONDS)
        return cls(settings.CATALOG_URL.rstrip("/"), timeout, request_id)

    def products(self, ids: Iterable[int]) -> dict[int, Product]:
        """By id; ids that no product has are left out."""
        answer = self._call("GET", "/api/products/batch", params={"id": list(ids)})
        if answer.status_code != 200:
            raise unexpected(answer)
        try:
            items = [Product(**{field: item[field] for field in _PRODUCT_FIELDS}) for item in answer.json()["items"]]
        except (ValueError, KeyError, TypeError) as error:
            raise unexpected(answer) from error
        return {product.id: product for product in items}

    def hold(self, order_id: UUID, quantities: Mapping[int, int]) -> None:
        """Holds the stock for all of `quantities` (by product id), or for nothing."""
        lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in quantities.items()]
        answer = self._call("PUT", f"/reservations/{order_id}", json={"lines": lines})
        if answer.status_code in (200, 201):
            return
        if answer.status_code != 409:
            raise unexpected(answer)
        try:
            problem = answer.json()
            shortages = [
                Shortage(found["product_id"], found["wanted"], found["available"])
                for found in problem.get("shortages", [])
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise unexpected(answer) from error
        if shortages:
            raise OutOfStockError(shortages)
        raise RefusedError(problem.get("detail", ""))

    def release(self, order_id: UUID) -> None:
        """Gives the stock back, if there is any, and makes sure that none is held under this id later."""
        answer = self._call("DELETE", f"/reservations/{order_id}")
        if answer.status_code != 200:
            raise unexpected(answer)


_PRODUCT_FIELDS = ("id", "sku", "name", "price_cents", "currency")
