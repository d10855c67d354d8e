"""Limits concurrent password checks, which are expensive on purpose and must not starve other requests."""

from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

RETRY_AFTER = 1
"""Seconds."""

# At most half of the threads wait for a check, and one check runs at a time, so other requests are still served.
_threads = BoundedSemaphore(settings.LOGIN_THREADS)
_checks = BoundedSemaphore(1)


class PasswordBackend(ModelBackend):
    """Django's accounts, with a limit on concurrent password checks."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the account or None; raises Throttled while too many passwords are being checked."""
        if not _threads.acquire(blocking=False):
            raise Throttled(RETRY_AFTER, "Too many log-ins at once.")
        try:
            with _checks:
                return super().authenticate(request, username, password, **kwargs)
        finally:
            _threads.release()
