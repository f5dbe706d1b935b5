"""An order that Django REST Framework's serializers check and send back; the settings have no more than that needs."""

# Django and the framework have no types of their own.
# mypy: disable-error-code="import-untyped,misc,no-untyped-call"

from __future__ import annotations

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of a measurement",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class CustomerSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=80)
    email = serializers.CharField()
    vip = serializers.BooleanField(default=False)


class LineSerializer(serializers.Serializer):
    sku = serializers.CharField()
    quantity = serializers.IntegerField(min_value=1)
    price = serializers.FloatField()


class OrderSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    customer = CustomerSerializer()
    lines = LineSerializer(many=True)
    tags = serializers.ListField(child=serializers.CharField(), default=list)
    created = serializers.DateTimeField()
    note = serializers.CharField(required=False, allow_null=True)


class OrderView(APIView):
    def post(self, request: Request) -> Response:
        order = OrderSerializer(data=request.data)
        order.is_valid(raise_exception=True)
        return Response(OrderSerializer(order.validated_data).data)


urlpatterns = [path("orders", OrderView.as_view())]
app = get_wsgi_application()
