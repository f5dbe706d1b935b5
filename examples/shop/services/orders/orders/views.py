"""What the paths do; `orders.placing` knows why."""

import logging
import re
import uuid

from django.db import DatabaseError
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders import placing
from orders.calling import ServiceError
from orders.models import WAITING, Order, Status
from orders.problems import problem
from orders.request_id import request_id
from orders.serializers import ListQuery, NewOrder, OrderSerializer

KEY_HEADER = "Idempotency-Key"
RETRY_AFTER_SECONDS = 5

_KEY = re.compile(r"[\x21-\x7e]{1,200}")

log = logging.getLogger(__name__)


class Orders(GenericAPIView[Order]):
    queryset = Order.objects.prefetch_related("lines")
    serializer_class = OrderSerializer

    def post(self, request: Request) -> Response:
        key = request.headers.get(KEY_HEADER) or str(uuid.uuid4())
        if not _KEY.fullmatch(key):
            raise ValidationError({KEY_HEADER: ["1 to 200 visible ASCII characters"]})
        wanted = NewOrder(data=request.data)
        wanted.is_valid(raise_exception=True)
        try:
            order, is_new = placing.record(wanted.draft, key)
        except placing.KeyReusedError:
            return problem(422, f"this {KEY_HEADER} was used for another order; a new order needs a new one")
        _finish(order, request)
        location = reverse("order", args=[order.id])
        return _answer(order, 201 if is_new else 200, {KEY_HEADER: key, "Location": location})

    def get(self, request: Request) -> Response:
        query = ListQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = self.paginate_queryset(self.get_queryset().filter(email=query.validated_data["email"]))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class OneOrder(APIView):
    def get(self, _request: Request, order_id: uuid.UUID) -> Response:
        return Response(OrderSerializer(get_object_or_404(Order, pk=order_id)).data)


class Cancellation(APIView):
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        order = get_object_or_404(Order, pk=order_id)
        try:
            placing.cancel(order)
        except placing.NotCancellableError:
            return problem(409, "this order was rejected; there is nothing to cancel")
        _finish(order, request)
        if order.status == Status.PLACED:
            return problem(409, "this order is on its way; it cannot be cancelled any more")
        return _answer(order, 200, {})


class Health(APIView):
    def get(self, _request: Request) -> Response:
        try:
            Order.objects.exists()
        except DatabaseError as error:
            log.error("unhealthy: %s", error)
            return problem(503, "the database does not answer, or is not migrated")
        return Response({"status": "ok"})


def _finish(order: Order, request: Request) -> None:
    id_ = request_id(request)
    try:
        placing.finish(order, placing.Others.from_settings(id_))
    except ServiceError as error:
        log.warning("order %s stays %s (request %s): %s", order.id, order.standing, id_, error)


def _answer(order: Order, status: int, headers: dict[str, str]) -> Response:
    if order.status in WAITING:
        status = 202
        headers = {**headers, "Retry-After": str(RETRY_AFTER_SECONDS)}
    return Response(OrderSerializer(order).data, status, headers=headers)
