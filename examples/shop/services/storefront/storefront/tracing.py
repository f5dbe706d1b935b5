"""The id that a request carries through every service and every log line: `X-Request-Id`."""

import re
import uuid

from flask import Flask, Response, g, has_request_context, request

HEADER = "X-Request-Id"
# W3C Trace Context goes along as it came.
PASSED_ON = ("traceparent", "tracestate")

_WELL_FORMED = re.compile(r"[A-Za-z0-9_.:/+=-]{1,64}")


def install(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        return response


def request_id() -> str:
    return str(g.get("request_id", "-")) if has_request_context() else "-"


def outgoing_headers() -> dict[str, str]:
    """What a call to another service carries of the request that it is made for."""
    if not has_request_context():
        return {}
    passed_on = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    return {HEADER: request_id(), **passed_on}
