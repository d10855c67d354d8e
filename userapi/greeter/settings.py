"""Django's settings; telemetry needs only its name in INSTALLED_APPS, and reads the rest from the environment."""

import os
import secrets

from telemetry.log_config import logging_config
from userapi import __version__

SECRET_KEY = secrets.token_urlsafe(50)  # nothing is signed
ALLOWED_HOSTS = os.environ.get("GREETER_ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")
INSTALLED_APPS = ["telemetry"]
ROOT_URLCONF = "userapi.greeter.urls"
TIME_ZONE = "UTC"
LOGGING = logging_config()
TELEMETRY = {"SERVICE_NAME": "greeter", "SERVICE_VERSION": __version__}
