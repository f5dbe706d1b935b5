"""What goes over the wire."""

from typing import Any, cast

from rest_framework import serializers

from orders.models import Order, OrderLine
from orders.placing import Draft, Line

LARGEST_ID = 2**31 - 1


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members that it does not know: a misspelt one would be lost in silence."""

    def to_internal_value(self, data: Any) -> Any:
        mistakes: dict[str, Any] = {}
        if isinstance(data, dict):
            mistakes = {name: ["there is no such member"] for name in data if name not in self.fields}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            # A serializer's mistakes always stand under the names of its members.
            raise serializers.ValidationError({**cast("dict[str, Any]", error.detail), **mistakes}) from error
        if mistakes:
            raise serializers.ValidationError(mistakes)
        return value


class NewCustomer(StrictSerializer):
    name = serializers.CharField(max_length=120)
    email = serializers.EmailField(max_length=254)
    address = serializers.CharField(max_length=500)

    def validate_email(self, email: str) -> str:
        return email.lower()


class NewLine(StrictSerializer):
    product_id = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    quantity = serializers.IntegerField(min_value=1, max_value=1000)


class NewOrder(StrictSerializer):
    customer = NewCustomer()
    lines = serializers.ListField(child=NewLine(), min_length=1, max_length=100)

    def validate_lines(self, lines: list[dict[str, int]]) -> list[dict[str, int]]:
        if len({line["product_id"] for line in lines}) != len(lines):
            raise serializers.ValidationError("a product stands in one line only")
        return lines

    @property
    def draft(self) -> Draft:
        lines = tuple(Line(**line) for line in self.validated_data["lines"])
        return Draft(**self.validated_data["customer"], lines=lines)


class ListQuery(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)

    def validate_email(self, email: str) -> str:
        return email.lower()


class CustomerSerializer(serializers.ModelSerializer[Order]):
    class Meta:
        model = Order
        fields = ("name", "email", "address")


class LineSerializer(serializers.ModelSerializer[OrderLine]):
    class Meta:
        model = OrderLine
        fields = ("product_id", "quantity", "sku", "name", "price_cents")


class OrderSerializer(serializers.ModelSerializer[Order]):
    customer = CustomerSerializer(source="*")
    lines = LineSerializer(many=True)

    class Meta:
        model = Order
        fields = ("id", "status", "shipment", "created_at", "customer", "lines", "total_cents", "currency", "rejection")
