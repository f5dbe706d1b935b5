"""One API of Django REST Framework."""

from django.db import connection
from django.urls import path
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.response import Response


class OrderSerializer(serializers.Serializer):
    """What is posted."""

    product = serializers.CharField(max_length=20)
    quantity = serializers.IntegerField(min_value=1)


@api_view(["GET", "POST"])
def orders(request):
    """Lists or makes."""
    if request.method == "GET":
        with connection.cursor() as cursor:
            cursor.execute("SELECT 40 + 2")
            return Response({"answer": cursor.fetchone()[0]})
    serializer = OrderSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    return Response(serializer.validated_data, status=status.HTTP_201_CREATED)


urlpatterns = [path("orders/", orders)]
