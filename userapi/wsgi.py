"""The WSGI application: instrumented before Django builds its middleware chain."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from telemetry import lifecycle
from userapi import __version__
from userapi.users import metrics

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")

try:
    lifecycle.instrument()
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    if "gunicorn" not in sys.modules:
        raise
    from gunicorn.errors import AppImportError

    raise AppImportError(str(error)) from None  # gunicorn's word for: one line, no other try
lifecycle.serve("User API", __version__, metrics.ATTRIBUTES)
