"""What an application is: its protocol (ASGI or WSGI) and the framework it is written with.

A known framework is told by the classes of the object; everything else by the shape of its `__call__`. Nothing is
imported for it: a framework that the application does not use is not in `sys.modules`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any, Literal, NamedTuple

Interface = Literal["asgi", "wsgi"]


class Framework(NamedTuple):
    """A framework as it is known here."""

    name: str
    interface: Interface
    distribution: str


# Qualified class names; the first that the object is an instance of wins, so subclasses stand before their bases.
KNOWN: dict[str, Framework] = {
    "fastapi.applications.FastAPI": Framework("FastAPI", "asgi", "fastapi"),
    "litestar.app.Litestar": Framework("Litestar", "asgi", "litestar"),
    "blacksheep.server.application.Application": Framework("BlackSheep", "asgi", "blacksheep"),
    "quart.app.Quart": Framework("Quart", "asgi", "quart"),
    "sanic.app.Sanic": Framework("Sanic", "asgi", "sanic"),
    "starlette.applications.Starlette": Framework("Starlette", "asgi", "starlette"),
    "django.core.handlers.asgi.ASGIHandler": Framework("Django", "asgi", "django"),
    "django.core.handlers.wsgi.WSGIHandler": Framework("Django", "wsgi", "django"),
    "falcon.asgi.app.App": Framework("Falcon", "asgi", "falcon"),
    "falcon.app.App": Framework("Falcon", "wsgi", "falcon"),
    "flask.app.Flask": Framework("Flask", "wsgi", "flask"),
    "bottle.Bottle": Framework("Bottle", "wsgi", "bottle"),
    "pyramid.router.Router": Framework("Pyramid", "wsgi", "pyramid"),
}


class Detected(NamedTuple):
    """What an object turned out to be. `double`: an ASGI 2 application, called twice."""

    interface: Interface
    framework: str
    double: bool = False


def detect(application: object) -> Detected | None:
    """Says what the object is, or nothing where it is no application."""
    if not callable(application):
        return None
    framework = _framework_of(application)
    if framework is not None:
        return Detected(framework.interface, describe(framework))
    interface, double = _shape_of(application)
    if interface is None:
        return None
    return Detected(interface, interface.upper(), double)


def describe(framework: Framework) -> str:
    """Name and version, such as `FastAPI 0.163.0` or `Django 6.1 + DRF 3.18`."""
    text = _with_version(framework.name, framework.distribution)
    if framework.name == "Django" and "rest_framework" in sys.modules:
        text += " + " + _with_version("DRF", "djangorestframework")
    return text


def _with_version(name: str, distribution: str) -> str:
    try:
        return f"{name} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return name


def _framework_of(application: object) -> Framework | None:
    for candidate in _unwrapped(application):
        names = {f"{base.__module__}.{base.__qualname__}" for base in type(candidate).__mro__}
        for name, framework in KNOWN.items():
            if name in names:
                return framework
    return None


def _unwrapped(application: object) -> list[object]:
    """The object, and what common middleware wraps: they keep the inner application as `app` or `application`."""
    found = [application]
    for _ in range(16):
        inner = None
        for attribute in ("app", "application", "wsgi_app", "asgi_app", "wrapped"):
            candidate = getattr(found[-1], "__dict__", {}).get(attribute)
            if callable(candidate):
                inner = candidate
                break
        if inner is None:
            break
        # A method such as `Flask.wsgi_app` belongs to the application itself.
        found.append(getattr(inner, "__self__", inner))
    return found


def _shape_of(application: Callable[..., Any]) -> tuple[Interface | None, bool]:
    target: Any = application
    while isinstance(target, functools.partial):
        target = target.func
    call = target if inspect.isroutine(target) or inspect.isclass(target) else type(target).__call__
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__wrapped__", call)):
        return "asgi", False
    try:
        positional = _required(inspect.signature(application))
    except (TypeError, ValueError):
        return None, False
    if len(positional) == 3:
        return "asgi", False
    if len(positional) == 2:
        return "wsgi", False
    if len(positional) == 1 and positional[0] == "scope":
        return "asgi", True
    return None, False


def _required(signature: inspect.Signature) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in kinds and parameter.default is inspect.Parameter.empty
    ]
