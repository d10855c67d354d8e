"""The project's WSGI application, with the package's lines."""

import os

from django.core.wsgi import get_wsgi_application

from telemetry import lifecycle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
lifecycle.instrument()
application = get_wsgi_application()
lifecycle.serve("shop", "1", {})
