"""Reads JSON bodies, none larger than an order can be."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.parsers import JSONParser

MAX_BYTES = 64 * 1024


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"the body has more than {MAX_BYTES} bytes"
    default_code = "too_large"


class BoundedJSONParser(JSONParser):
    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        # Without this header Django reads no body at all, so it can be relied on.
        if int((parser_context or {})["request"].META.get("CONTENT_LENGTH") or 0) > MAX_BYTES:
            raise BodyTooLarge
        return super().parse(stream, media_type, parser_context)
