"""Authentication by token or password; malformed credentials are rejected without a database query."""

import re
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from userapi.accounts.attempts import LOCKED_OUT

_LONGEST_NAME = 150
_TOKEN = re.compile(rb"[0-9a-f]{64}")
_CHALLENGE = 'Bearer realm="api"'


class _Knox(KnoxTokenAuthentication):  # type: ignore[misc]  # Knox has no types
    def authenticate_credentials(self, token: bytes) -> Any:
        if not _TOKEN.fullmatch(token):
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer <token>`. Knox stores only a digest of the token."""

    def authenticate(self, request: Request) -> Any:
        return _Knox().authenticate(request)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401 (RFC 6750, section 3): a request without a token gets no error code."""
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        return f'{_CHALLENGE}, error="invalid_token"' if scheme.lower() == "bearer" else _CHALLENGE


class BasicAuthentication(authentication.BasicAuthentication):
    """Name and password of an account, for getting a token. Failed attempts count like those of the admin's login."""

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> tuple[AbstractBaseUser, None]:
        # No account has such a name, and no database accepts it.
        if "\0" in userid + password or len(userid) > _LONGEST_NAME:
            raise AuthenticationFailed("Invalid username/password.")
        # Without the body: django-axes reads forms before it counts, and a malformed one would prevent that.
        attempt: Any = HttpRequest()
        attempt.META = request.META if request else {}
        try:
            return super().authenticate_credentials(userid, password, attempt)
        except AuthenticationFailed:
            if attempt.axes_locked_out:
                raise Throttled(settings.AXES_COOLOFF_TIME.total_seconds(), LOCKED_OUT) from None
            raise
