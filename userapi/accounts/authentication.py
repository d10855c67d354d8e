"""Tokens and passwords, checked for what no database should be asked about."""

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


class TokenAuthentication(KnoxTokenAuthentication):  # type: ignore[misc]  # Knox has no types
    """`Authorization: Bearer <token>`. Knox keeps a digest of the token only."""

    def authenticate_credentials(self, token: bytes) -> Any:
        if not _TOKEN.fullmatch(token):
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class BasicAuthentication(authentication.BasicAuthentication):
    """Name and password of an account, to get a token with. Failed attempts count as those at the admin's log-in."""

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> tuple[AbstractBaseUser, None]:
        # No account has such a name, and no database takes it.
        if "\0" in userid + password or len(userid) > _LONGEST_NAME:
            raise AuthenticationFailed("Invalid username/password.")
        # Without the body: django-axes reads forms before it counts, and a malformed one would keep it from counting.
        attempt: Any = HttpRequest()
        attempt.META = request.META if request else {}
        try:
            return super().authenticate_credentials(userid, password, attempt)
        except AuthenticationFailed:
            if attempt.axes_locked_out:
                raise Throttled(settings.AXES_COOLOFF_TIME.total_seconds(), LOCKED_OUT) from None
            raise
