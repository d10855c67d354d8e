"""The WSGI application: instrumented before Django builds its middleware chain."""

import os

from django.core.wsgi import get_wsgi_application

from telemetry import lifecycle
from userapi import __version__

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")

lifecycle.instrument()
application = get_wsgi_application()
lifecycle.serve("User API", __version__)
