"""One id follows a shopper's request through all services and their logs: taken over, or made here."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-Id"
_ACCEPTABLE = re.compile(r"[\x21-\x7e]{1,128}")


class RequestIdMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        request.META["request_id"] = given if _ACCEPTABLE.fullmatch(given) else str(uuid.uuid4())
        response = self._get_response(request)
        response.headers.setdefault(HEADER, request_id(request))
        return response


def request_id(request: HttpRequest) -> str:
    found: str = request.META["request_id"]
    return found
