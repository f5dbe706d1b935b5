"""Pages of orders, newest first.

A cursor names the place where a page begins. Unlike an offset it costs the same on page 1 and page 1000, and an order
that comes in meanwhile shifts nothing.
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ValidationError as BadPosition
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class NewestFirst(CursorPagination):
    ordering = ("-created_at", "-id")
    page_size = 20
    page_size_query_param = "limit"
    max_page_size = 100

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, BadPosition) as error:
            raise ValidationError({"cursor": ["the cursor is damaged; begin again without it"]}) from error

    def encode_cursor(self, cursor: Cursor) -> str:
        """The bare cursor: behind a gateway we do not know the address that the caller sees."""
        link = urlsplit(super().encode_cursor(cursor))
        return parse_qs(link.query)[self.cursor_query_param][0]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"items": data, "next": self.get_next_link(), "previous": self.get_previous_link()})
