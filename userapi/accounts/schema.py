"""How the OpenAPI document describes tokens."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema

from userapi.accounts.views import TokenSerializer
from userapi.schema import describe


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`TokenAuthentication` as an HTTP bearer scheme."""

    target_class = "userapi.accounts.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "From POST /auth/token."}


class BasicScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`BasicAuthentication` as HTTP's basic scheme."""

    target_class = "userapi.accounts.authentication.BasicAuthentication"
    name = "basic"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic", "description": "Name and password of an account."}


describe(
    "userapi.accounts.views.TokenView",
    post=extend_schema(summary="Get a token", operation_id="create_token", request=None, responses=TokenSerializer),
)
describe(
    "userapi.accounts.views.RevokeTokenView",
    post=extend_schema(summary="Revoke the token", operation_id="delete_token", request=None, responses={204: None}),
)
