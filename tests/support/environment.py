"""The environment of every test. A pytest plugin named in the options: pytest-django reads the settings early."""

import os
import secrets

_OURS = ("OTEL_", "TELEMETRY_", "DJANGO_", "USERAPI_OPEN_ACCESS", "USERAPI_THREADS", "DATABASE_", "METRICS_TOKEN")

for name in list(os.environ):
    if name.startswith(_OURS):
        del os.environ[name]
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "userapi.settings",
    "DJANGO_SECRET_KEY": secrets.token_hex(32),
    "DJANGO_HTTPS": "false",
    "TELEMETRY_MODE": "off",
}
