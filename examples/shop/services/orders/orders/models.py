"""The tables. Every change of an order's status is a conditional update in `orders.placing`."""

import uuid

from django.db import models
from django.db.models import Q


class Status(models.TextChoices):
    """How far an order has come. `PENDING` and `CANCELLING` wait for catalog's answer; the others are final, except
    that a placed order can be cancelled."""

    PENDING = "pending"
    PLACED = "placed"
    REJECTED = "rejected"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


WAITING = [Status.PENDING, Status.CANCELLING]


class Shipment(models.TextChoices):
    """What shipping knows of an order. A placed order is `WANTED` until shipping has confirmed that it is `BOOKED`."""

    NONE = "none"
    WANTED = "wanted"
    BOOKED = "booked"


# What is not finished: it waits for catalog, or for shipping.
UNFINISHED = Q(status__in=WAITING) | Q(status=Status.PLACED, shipment=Shipment.WANTED)


class Order(models.Model):
    """The id is the id of the reservation in catalog as well, so that asking again is harmless there."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=200, unique=True)
    # Of the body that came with the key first: the same key with another body is a mistake of the caller.
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    shipment = models.CharField(max_length=10, choices=Shipment.choices, default=Shipment.NONE)
    rejection = models.JSONField(null=True)
    name = models.CharField(max_length=120)
    email = models.CharField(max_length=254)
    address = models.CharField(max_length=500)
    # Known when the order is placed.
    total_cents = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = (
            models.Index(fields=["email", "-created_at"], name="orders_by_email"),
            models.Index(fields=["created_at"], condition=UNFINISHED, name="orders_unfinished"),
        )
        constraints = (
            models.CheckConstraint(condition=Q(status__in=Status.values), name="order_status_is_known"),
            models.CheckConstraint(condition=Q(shipment__in=Shipment.values), name="order_shipment_is_known"),
            models.CheckConstraint(
                condition=~Q(status=Status.PLACED) | Q(total_cents__isnull=False, currency__isnull=False),
                name="placed_order_has_a_total",
            ),
        )

    def __str__(self) -> str:
        return f"{self.id} ({self.status})"

    @property
    def standing(self) -> str:
        """Its status, for log lines; also that it is not booked yet."""
        is_unbooked = self.status == Status.PLACED and self.shipment == Shipment.WANTED
        return f"{self.status}, without a shipment" if is_unbooked else self.status


class OrderLine(models.Model):
    """What the product was called and cost when the order was placed; catalog may change both later."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product_id = models.IntegerField()
    quantity = models.IntegerField()
    sku = models.CharField(max_length=40, null=True)
    name = models.CharField(max_length=200, null=True)
    price_cents = models.BigIntegerField(null=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["order", "product_id"], name="product_stands_in_one_line"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="quantity_is_positive"),
        )

    def __str__(self) -> str:
        return f"{self.quantity} of product {self.product_id}"
