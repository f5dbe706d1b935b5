"""Calls to catalog: what products are called and cost, stock held for an order and given back.

All calls may be repeated, so a call that met a closed door or a busy server is repeated, a few times and after a pause
that differs from caller to caller. One that got no answer in time is not: whoever waits has waited long enough, and
`orders.placing` goes on later from where it stopped.
"""

import logging
import random
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import requests
from django.conf import settings

from orders.request_id import HEADER

ATTEMPTS = 3
LONGEST_PAUSE_SECONDS = 0.4
BUSY = frozenset({502, 503, 504})

log = logging.getLogger(__name__)


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


class CatalogError(Exception):
    """Catalog gave no answer that we understand; what it did is unknown."""


class UnreachableError(CatalogError):
    """Catalog gave no answer at all, or said that it is busy."""


class OutOfStockError(Exception):
    def __init__(self, shortages: list[Shortage]) -> None:
        super().__init__("not enough stock")
        self.shortages = shortages


class RefusedError(Exception):
    """Catalog will never hold stock under this id: it was released, or holds other lines."""


@dataclass(frozen=True)
class Catalog:
    url: str
    timeout: tuple[float, float]
    request_id: str

    @classmethod
    def from_settings(cls, request_id: str) -> "Catalog":
        timeout = (settings.CATALOG_CONNECT_SECONDS, settings.CATALOG_READ_SECONDS)
        return cls(settings.CATALOG_URL.rstrip("/"), timeout, request_id)

    def products(self, ids: Iterable[int]) -> dict[int, Product]:
        """By id; ids that no product has are left out."""
        answer = self._call("GET", "/api/products/batch", params={"id": list(ids)})
        if answer.status_code != 200:
            raise _unexpected(answer)
        try:
            items = [Product(**{field: item[field] for field in _PRODUCT_FIELDS}) for item in answer.json()["items"]]
        except (ValueError, KeyError, TypeError) as error:
            raise _unexpected(answer) from error
        return {product.id: product for product in items}

    def hold(self, order_id: UUID, quantities: Mapping[int, int]) -> None:
        """Holds the stock for all of `quantities` (by product id), or for nothing."""
        lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in quantities.items()]
        answer = self._call("PUT", f"/reservations/{order_id}", json={"lines": lines})
        if answer.status_code in (200, 201):
            return
        if answer.status_code != 409:
            raise _unexpected(answer)
        try:
            problem = answer.json()
            shortages = [
                Shortage(found["product_id"], found["wanted"], found["available"])
                for found in problem.get("shortages", [])
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unexpected(answer) from error
        if shortages:
            raise OutOfStockError(shortages)
        raise RefusedError(problem.get("detail", ""))

    def release(self, order_id: UUID) -> None:
        """Gives the stock back, if there is any, and makes sure that none is held under this id later."""
        answer = self._call("DELETE", f"/reservations/{order_id}")
        if answer.status_code != 200:
            raise _unexpected(answer)

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        reason: object = None
        for attempt in range(1, ATTEMPTS + 1):
            if attempt > 1:
                time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
            try:
                answer = _session().request(
                    method,
                    self.url + path,
                    headers={HEADER: self.request_id},
                    timeout=self.timeout,
                    allow_redirects=False,
                    **options,
                )
            except requests.ReadTimeout as error:
                raise UnreachableError(f"{method} {path} got no answer in {self.timeout[1]} s") from error
            except requests.ConnectionError as error:
                reason = error
            except requests.RequestException as error:
                raise CatalogError(f"{method} {path} failed: {error}") from error
            else:
                if answer.status_code not in BUSY:
                    return answer
                reason = f"status {answer.status_code}"
            log.info("catalog: %s %s: attempt %d of %d: %s", method, path, attempt, ATTEMPTS, reason)
        raise UnreachableError(f"{method} {path} failed {ATTEMPTS} times, last: {reason}")


_PRODUCT_FIELDS = ("id", "sku", "name", "price_cents", "currency")
_own = threading.local()


def _session() -> requests.Session:
    """The thread's connections; a session is not made to be shared."""
    session: requests.Session | None = getattr(_own, "session", None)
    if session is None:
        session = _own.session = requests.Session()
        # No proxy and no password file stands between two services of one system.
        session.trust_env = False
    return session


def _unexpected(answer: requests.Response) -> CatalogError:
    return CatalogError(
        f"{answer.request.method} {answer.url}: unexpected answer {answer.status_code} {answer.text:.200}"
    )
