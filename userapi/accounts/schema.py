"""How the OpenAPI document names our token."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


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
