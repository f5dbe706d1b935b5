"""The HTTP face. `gunicorn orders.wsgi` runs it."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orders.settings")
application = get_wsgi_application()

from orders import errands  # noqa: E402 - models can be imported only now

errands.start(settings.ERRANDS_SECONDS)
