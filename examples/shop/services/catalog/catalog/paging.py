"""Keyset paging: a cursor names the row beside which a page begins.

Unlike an offset it costs the same on page 1 and page 1000, and a product that is added meanwhile shifts nothing.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, tuple_

from catalog.tables import products

Sort = Literal["name", "price", "-price"]

_KEYS: dict[Sort, tuple[ColumnElement[str] | ColumnElement[int], bool]] = {
    "name": (products.c.name, False),
    "price": (products.c.price_cents, False),
    "-price": (products.c.price_cents, True),
}


class BadCursorError(ValueError):
    """The text is no cursor of ours, or one of another order."""


@dataclass(frozen=True)
class Cursor:
    """The row with this sort key and id, and whether the page stands after or before it."""

    sort: Sort
    key: str | int
    id: int
    backwards: bool

    def encode(self) -> str:
        document = json.dumps([self.sort, self.key, self.id, self.backwards], separators=(",", ":"))
        return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, sort: Sort) -> "Cursor":
        try:
            document = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (binascii.Error, ValueError) as error:
            raise BadCursorError("the cursor is damaged") from error
        kind = str if sort == "name" else int
        match document:
            case [str(cursor_sort), key, int(id_), bool(backwards)] if cursor_sort == sort and type(key) is kind:
                return cls(sort, key, id_, backwards)
        raise BadCursorError("the cursor belongs to another list")


@dataclass(frozen=True)
class Window:
    """How a page is cut out of the ordered products."""

    sort: Sort
    cursor: Cursor | None

    @property
    def backwards(self) -> bool:
        return self.cursor is not None and self.cursor.backwards

    @property
    def order(self) -> list[ColumnElement[str] | ColumnElement[int]]:
        key, descending = _KEYS[self.sort]
        columns: list[ColumnElement[str] | ColumnElement[int]] = [key, products.c.id]
        return [column.desc() if descending != self.backwards else column.asc() for column in columns]

    @property
    def condition(self) -> ColumnElement[bool] | None:
        if self.cursor is None:
            return None
        key, descending = _KEYS[self.sort]
        row = tuple_(key, products.c.id)
        edge = tuple_(self.cursor.key, self.cursor.id)
        return row < edge if descending != self.backwards else row > edge

    def cursor_at(self, key: str | int, id_: int, *, backwards: bool) -> str:
        return Cursor(self.sort, key, id_, backwards).encode()
