"""Errors speak one language, RFC 9457. A mistake in the body is told with a JSON pointer to its place."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

PROBLEM = "application/problem+json"

log = logging.getLogger(__name__)


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None, **members: object) -> Response:
    return Response(_document(status, detail, **members), status, headers=headers, content_type=PROBLEM)


def on_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, (OperationalError, InterfaceError)):
        log.exception("the database does not answer")
        return problem(503, "the database does not answer; try again", headers={"Retry-After": "1"})
    answer = exception_handler(error, context)
    if answer is None:
        return None
    if isinstance(error, ValidationError):
        mistakes = [{"pointer": pointer, "detail": detail} for pointer, detail in _mistakes(error.detail)]
        answer.data = _document(answer.status_code, "the request has mistakes", errors=mistakes)
    else:
        answer.data = _document(answer.status_code, answer.data["detail"])
    answer.content_type = PROBLEM
    return answer


def on_unknown_path(_request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse(_document(404, "there is nothing at this path"), status=404, content_type=PROBLEM)


def on_crash(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(_document(500, "this is our mistake; it was logged"), status=500, content_type=PROBLEM)


def _document(status: int, detail: str, **members: object) -> dict[str, object]:
    return {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}


def _mistakes(detail: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else "/" + str(name).replace("~", "~0").replace("/", "~1")
            yield from _mistakes(inner, pointer + step)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            yield from _mistakes(inner, f"{pointer}/{index}" if isinstance(inner, dict) else pointer)
    else:
        yield pointer, str(detail)
