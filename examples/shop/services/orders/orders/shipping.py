"""Calls to shipping: the parcels of an order booked, and taken back."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from orders.calling import RefusedError, Service, unexpected


@dataclass(frozen=True)
class Shipping(Service):
    name = "shipping"

    @classmethod
    def from_settings(cls, request_id: str) -> "Shipping":
        timeout = (settings.SHIPPING_CONNECT_SECONDS, settings.SHIPPING_READ_SECONDS)
        return cls(settings.SHIPPING_URL.rstrip("/"), timeout, request_id)

    def book(self, order_id: UUID, name: str, address: str, things: int) -> None:
        """Has the order sent, once, however often it is asked for."""
        draft = {"recipient": {"name": name, "address": address}, "things": things}
        answer = self._call("PUT", f"/shipments/{order_id}", json=draft)
        if answer.status_code == 409:
            raise RefusedError(answer.text)
        if answer.status_code not in (200, 201):
            raise unexpected(answer)

    def take_back(self, order_id: UUID) -> None:
        """Makes sure that the order is not sent, now or later; refused once it is on its way."""
        answer = self._call("DELETE", f"/shipments/{order_id}")
        if answer.status_code == 409:
            raise RefusedError(answer.text)
        if answer.status_code != 200:
            raise unexpected(answer)
