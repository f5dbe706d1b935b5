"""What a shopper has ordered in this session, newest first: the key of each order and its id.

Knowing the key of a form that was sent before is what makes the second click on "Order" harmless.
"""

import secrets
from collections.abc import MutableMapping
from typing import Any

MOST_KEPT = 10

_ORDERS = "orders"
_KEY = "order_key"


class Purchases:
    def __init__(self, session: MutableMapping[str, Any]) -> None:
        self._session = session

    @property
    def ids(self) -> list[str]:
        return [order_id for _, order_id in self._pairs]

    def key_of(self, order_id: str) -> str | None:
        return next((key for key, one in self._pairs if one == order_id), None)

    def made_with(self, key: str) -> str | None:
        return next((order_id for one, order_id in self._pairs if one == key), None)

    def remember(self, key: str, order_id: str) -> None:
        others = [pair for pair in self._pairs if pair[0] != key]
        self._session[_ORDERS] = [(key, order_id), *others][:MOST_KEPT]

    @property
    def next_key(self) -> str:
        """The key of the order to come. It stays the same until that order is made or the basket changes."""
        if _KEY not in self._session:
            self._session[_KEY] = secrets.token_hex(16)
        return str(self._session[_KEY])

    def renew_key(self) -> None:
        self._session.pop(_KEY, None)

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        return [(key, order_id) for key, order_id in self._session.get(_ORDERS, [])]
