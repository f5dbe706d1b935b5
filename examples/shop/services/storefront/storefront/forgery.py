"""Refuses forms that another site made a shopper's browser send: each form carries a token that only our pages know."""

import hmac
import secrets

from flask import Flask, request, session
from werkzeug.exceptions import BadRequest

FIELD = "csrf_token"
_KEY = "csrf"
_SAFE = ("GET", "HEAD", "OPTIONS")


class ForgedFormError(BadRequest):
    description = "The page that you sent was too old for us to be sure that it was you. Please go back and try again."


def install(app: Flask) -> None:
    app.jinja_env.globals[FIELD] = token

    @app.before_request
    def check() -> None:
        if request.method in _SAFE:
            return
        known = session.get(_KEY, "")
        if not known or not hmac.compare_digest(known.encode(), request.form.get(FIELD, "").encode()):
            raise ForgedFormError


def token() -> str:
    """The token of this shopper, made when the first form is shown."""
    if _KEY not in session:
        session[_KEY] = secrets.token_urlsafe(24)
    return str(session[_KEY])
