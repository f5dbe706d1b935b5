"""The catalogue, as the shop window sees it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storefront.service import RefusedError, Service, ServiceDownError

PAGE_SIZE = 24
SORTS = ("name", "price", "-price")
# Categories change rarely and stand on every page.
CATEGORIES_ARE_FRESH_FOR = 60.0
PATIENCE = 3.0


@dataclass(frozen=True)
class Category:
    slug: str
    name: str
    description: str
    products: int

    @classmethod
    def parse(cls, document: Any) -> "Category":
        return cls(document["slug"], document["name"], document["description"], int(document["products"]))


@dataclass(frozen=True)
class Product:
    id: int
    sku: str
    name: str
    category: str
    description: str
    picture: str
    colour: str
    price_cents: int
    currency: str
    stock: int

    @classmethod
    def parse(cls, document: Any) -> "Product":
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class ProductPage:
    items: list[Product]
    total: int
    next: str | None
    previous: str | None

    @classmethod
    def parse(cls, document: Any) -> "ProductPage":
        items = [Product.parse(item) for item in document["items"]]
        return cls(items, int(document["total"]), document["next"], document["previous"])


class Catalog:
    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self._service = Service("catalog", url, patience)
        self._categories: list[Category] = []
        self._asked_at: float | None = None

    def categories(self) -> list[Category]:
        """All categories, at most a minute old; older ones while the catalogue cannot be asked."""
        if self._asked_at is None or time.monotonic() - self._asked_at > CATEGORIES_ARE_FRESH_FOR:
            try:
                self._categories = self._service.get(
                    "/api/products/categories", lambda found: [*map(Category.parse, found)]
                )
            except ServiceDownError:
                if not self._categories:
                    raise
            # Also where it was in vain: the next page need not wait for what this one could not have.
            self._asked_at = time.monotonic()
        return self._categories

    def known_categories(self) -> list[Category]:
        """What `categories` found last, without a call: for the frame around a page."""
        return self._categories

    def products(
        self,
        *,
        search: str = "",
        category: str = "",
        sort: str = "name",
        cursor: str = "",
        featured: bool = False,
        limit: int = PAGE_SIZE,
    ) -> ProductPage:
        wanted = {"search": search, "category": category, "cursor": cursor, "featured": "true" if featured else ""}
        params = {name: value for name, value in wanted.items() if value}
        return self._service.get("/api/products", ProductPage.parse, {**params, "sort": sort, "limit": limit})

    def product(self, product_id: int) -> Product | None:
        try:
            return self._service.get(f"/api/products/{product_id}", Product.parse)
        except RefusedError:
            return None

    def find(self, ids: Iterable[int]) -> dict[int, Product]:
        """Those of the products that there are."""
        wanted = list(ids)
        if not wanted:
            return {}
        found = self._service.get(
            "/api/products/batch", lambda batch: [*map(Product.parse, batch["items"])], {"id": wanted}
        )
        return {product.id: product for product in found}
