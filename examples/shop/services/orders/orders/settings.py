"""What Django is told. The few things that differ between a laptop and production are read from the environment.

There are no users, no sessions, no forms and no pages here, so what Django brings for those is left out.
"""

import os
from pathlib import Path

from orders.database import database

FOLDER = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DJANGO_DEBUG", "") == "1"

# Nothing here is signed. Should code that signs ever come in, Django refuses to run it until there is a key, and no
# default that everybody knows is lying about.
SECRET_KEY = os.environ.get("SECRET_KEY", "")

# No answer is built from the Host header, so any may be sent; set it where that changes.
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "*").split(",")

INSTALLED_APPS = ["rest_framework", "orders"]
MIDDLEWARE = ["orders.request_id.RequestIdMiddleware"]
ROOT_URLCONF = "orders.urls"
WSGI_APPLICATION = "orders.wsgi.application"
APPEND_SLASH = False

DATABASES = {"default": database(os.environ.get("DATABASE_URL") or f"sqlite:///{FOLDER / 'orders.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Where stock is held, and how long we wait for it: to connect, and then for each answer.
CATALOG_URL = os.environ.get("CATALOG_URL") or "http://127.0.0.1:8000"
CATALOG_CONNECT_SECONDS = 2.0
CATALOG_READ_SECONDS = float(os.environ.get("CATALOG_READ_SECONDS") or 5)

# Where parcels are booked. An order does not wait for it, so little patience will do.
SHIPPING_URL = os.environ.get("SHIPPING_URL") or "http://127.0.0.1:8002"
SHIPPING_CONNECT_SECONDS = 1.0
SHIPPING_READ_SECONDS = float(os.environ.get("SHIPPING_READ_SECONDS") or 2)

# How often each process of the service looks for orders that were left unfinished, and how old they are at least;
# 0: never.
ERRANDS_SECONDS = float(os.environ.get("ERRANDS_SECONDS") or 5)

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["orders.parsing.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "orders.paging.NewestFirst",
    "EXCEPTION_HANDLER": "orders.problems.on_exception",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
    # Its own handlers would write mails and print everything a second time.
    "loggers": {"django": {"level": "INFO", "handlers": [], "propagate": True}},
}
