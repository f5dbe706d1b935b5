"""Where a parcel is, as the shop window sees it."""

from dataclasses import dataclass
from typing import Any

from storefront.service import RefusedError, Service

# A page that is about something else does not wait long for it.
PATIENCE = 2.0


@dataclass(frozen=True)
class Shipment:
    status: str
    parcels: int
    tracking: str | None

    @classmethod
    def parse(cls, document: Any) -> "Shipment":
        return cls(document["status"], document["parcels"], document["tracking"])


class Shipping:
    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self._service = Service("shipping", url, patience)

    def find(self, order_id: str) -> Shipment | None:
        """None where the order has not been handed over yet."""
        try:
            return self._service.get(f"/shipments/{order_id}", Shipment.parse)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
