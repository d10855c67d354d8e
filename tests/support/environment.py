"""The environment of every test. A pytest plugin named in the options: pytest-django reads the settings early."""

import os
import secrets
import shutil
import sys

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

# Each of the test's processes would compile all of the code, and pytest rewrite all assertions, again and again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The tests' files, databases too, are in memory where there is room: none of them waits for a disk, or finds it full.
_MEMORY, _ROOM = "/dev/shm", 4 << 30  # noqa: S108
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)
