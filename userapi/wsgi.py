"""The WSGI application."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")

try:
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    if "gunicorn" not in sys.modules:
        raise
    from gunicorn.errors import AppImportError

    raise AppImportError(str(error)) from None  # gunicorn's error for a one-line message without a restart
