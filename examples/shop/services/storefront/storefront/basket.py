"""The basket: which products and how many, kept in the shopper's signed cookie. Prices are asked for each time."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from storefront.catalog import Product

# A cookie holds 4 KiB.
MOST_LINES = 40
MOST_OF_ONE = 20

_KEY = "basket"


class Basket:
    """A view of the session; a change makes a new dictionary, which is how the session notices it."""

    def __init__(self, session: MutableMapping[str, Any]) -> None:
        self._session = session

    @property
    def quantities(self) -> dict[int, int]:
        return {int(product_id): quantity for product_id, quantity in self._session.get(_KEY, {}).items()}

    @property
    def count(self) -> int:
        return sum(self.quantities.values())

    def has_room_for(self, product_id: int) -> bool:
        return product_id in self.quantities or len(self.quantities) < MOST_LINES

    def put(self, product_id: int, quantity: int) -> None:
        """Sets how many there are of a product; none removes it."""
        quantities = self.quantities
        quantities[product_id] = min(quantity, MOST_OF_ONE)
        self._keep(quantities)

    def add(self, product_id: int, quantity: int) -> None:
        self.put(product_id, self.quantities.get(product_id, 0) + quantity)

    def remove(self, product_id: int) -> None:
        self.put(product_id, 0)

    def clear(self) -> None:
        self._keep({})

    def _keep(self, quantities: Mapping[int, int]) -> None:
        self._session[_KEY] = {str(product_id): quantity for product_id, quantity in quantities.items() if quantity > 0}


@dataclass(frozen=True)
class Line:
    product: Product
    quantity: int

    @property
    def cents(self) -> int:
        return self.product.price_cents * self.quantity

    @property
    def is_short(self) -> bool:
        return self.quantity > self.product.stock


@dataclass(frozen=True)
class Contents:
    """The basket with today's prices."""

    lines: list[Line]

    @classmethod
    def of(cls, basket: Basket, products: Mapping[int, Product]) -> "Contents":
        """Products that are no longer sold leave the basket."""
        for product_id in basket.quantities:
            if product_id not in products:
                basket.remove(product_id)
        return cls([Line(products[product_id], quantity) for product_id, quantity in basket.quantities.items()])

    @property
    def cents(self) -> int:
        return sum(line.cents for line in self.lines)

    @property
    def currency(self) -> str:
        return self.lines[0].product.currency if self.lines else "EUR"

    @property
    def is_short(self) -> bool:
        return any(line.is_short for line in self.lines)
