"""The service's settings, with which it does not start in direct mode."""

import os

from django.core.exceptions import ImproperlyConfigured

from userapi.settings import *  # noqa: F403

if os.environ["TELEMETRY_MODE"] == "direct":
    raise ImproperlyConfigured("these settings are not for direct mode")
