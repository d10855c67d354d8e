"""Views that create and revoke tokens."""

from typing import Any

from knox import views as knox
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from userapi.accounts.authentication import BasicAuthentication, TokenAuthentication
from userapi.views import StrictView


class TokenSerializer(serializers.Serializer[Any]):
    """A new token; it is shown this once."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField()


class TokenView(StrictView, knox.LoginView):  # type: ignore[misc]  # Knox has no types
    """A token for an account, by name and password or by a session."""

    # POST only: no other method uses up an attempt or checks a password.
    http_method_names = ["post"]  # noqa: RUF012  (Django's attribute)
    methods_with_body = ()
    # Not by token, which could then renew itself forever.
    authentication_classes = (BasicAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)

    def post(self, request: Request, format: str | None = None) -> Response:  # noqa: A002  (Knox's name)
        response: Response = super().post(request, format)
        return response


class RevokeTokenView(StrictView, knox.LogoutView):  # type: ignore[misc]  # Knox has no types
    """Revokes the token that the request came with."""

    methods_with_body = ()
    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)

    def post(self, request: Request, format: str | None = None) -> Response:  # noqa: A002  (Knox's name)
        response: Response = super().post(request, format)
        return response
