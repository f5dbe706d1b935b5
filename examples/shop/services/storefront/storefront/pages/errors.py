"""What a shopper reads when something goes wrong. Never a traceback, never a blank page."""

from flask import Flask, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError

from storefront import tracing
from storefront.forgery import ForgedFormError
from storefront.service import ServiceDownError

WORDS = {
    400: ("That did not work", "Something in the request was not as we expected. Please go back and try again."),
    404: ("There is nothing here", "The page has moved, or was never here. The shelves are this way."),
    405: ("That did not work", "This address is reached in another way. Please start again from the shop."),
    413: ("That was too much", "What you sent is larger than anything this shop asks for."),
}
OURS = ("Something broke", "The mistake is ours, and we have made a note of it. Your basket is as you left it.")
CLOSED = {
    "catalog": ("The shelves are being rearranged", "We cannot show any products just now."),
    "orders": ("The order desk is closed for a moment", "We cannot see or take any orders just now."),
}


def install(app: Flask) -> None:
    app.register_error_handler(ServiceDownError, _on_service_down)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(InternalServerError, _on_exception)


def _on_service_down(error: ServiceDownError) -> tuple[str, int, dict[str, str]]:
    title, text = CLOSED[error.service]
    text = f"{text} Your basket is kept; please try again in a minute."
    again = request.full_path.rstrip("?") if request.method == "GET" else None
    return _page(503, title, text, again=again), 503, {"Retry-After": "5"}


def _on_http_error(error: HTTPException) -> tuple[str, int, dict[str, str]] | HTTPException:
    status = error.code or 500
    if status < 400:
        return error
    title, text = WORDS.get(status, WORDS[400])
    if isinstance(error, ForgedFormError):
        text = error.description or text
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _page(status, title, text), status, headers


def _on_exception(_error: InternalServerError) -> tuple[str, int]:
    # Flask has logged what happened, with its traceback.
    return _page(500, *OURS), 500


def _page(status: int, title: str, text: str, again: str | None = None) -> str:
    return render_template(
        "message.html", status=status, title=title, text=text, again=again, request_id=tracing.request_id()
    )
