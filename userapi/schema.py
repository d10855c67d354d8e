"""The common parts of all operations in the OpenAPI document: errors, and bodies without unknown members."""

from typing import Any

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse, extend_schema_view
from rest_framework import serializers
from rest_framework.permissions import AllowAny

from userapi.accounts.authentication import BasicAuthentication
from userapi.problems import MEDIA_TYPE


class ProblemSerializer(serializers.Serializer[Any]):
    """An error, as RFC 9457 describes it."""

    type = serializers.CharField(help_text="about:blank: the status says it all.")
    title = serializers.CharField()
    status = serializers.IntegerField(min_value=400, max_value=599)
    detail = serializers.CharField(required=False)
    instance = serializers.CharField(required=False, help_text="Path of the request, without its query.")
    trace_id = serializers.RegexField("^[0-9a-f]{32}$", required=False, help_text="Finds the request in the traces.")
    errors = serializers.DictField(  # type: ignore[assignment]  # a field, where the class has a property
        child=serializers.ListField(child=serializers.CharField()), required=False, help_text="Messages by field."
    )


def describe(view: str, **operations: Any) -> None:
    """Describe the operations of a view; not a decorator, as descriptions are imported only for the document."""

    class Description(OpenApiViewExtension):  # type: ignore[no-untyped-call]
        target_class = view

        def view_replacement(self) -> Any:
            class Described(self.target):  # type: ignore[name-defined,misc]
                pass

            return extend_schema_view(**operations)(Described)


def close_request_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: request bodies have only the documented members."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request"):
            schema["additionalProperties"] = False
    return result


class ProblemAutoSchema(AutoSchema):
    """Adds to each operation its possible problem responses."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            for status, description in self._problems(operation).items():
                if status not in operation["responses"]:
                    response = OpenApiResponse(ProblemSerializer, description)
                    described = self._get_response_for_code(response, status, [MEDIA_TYPE])  # type: ignore[no-untyped-call]
                    operation["responses"][status] = described
        return operation

    def _problems(self, operation: dict[str, Any]) -> dict[str, str]:
        has_body = "requestBody" in operation
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        problems = {"400": "A value, a parameter, a header or the JSON itself is invalid."}
        if any(permission is not AllowAny for permission in self.view.permission_classes):
            problems["401"] = "Neither a token nor a session."
            problems["403"] = "Not allowed, or a session without its CSRF token."
        if "path" in places:
            problems["404"] = "No such record."
        problems["406"] = "No acceptable media type."
        if has_body and getattr(self.view, "conflicts", False):
            problems["409"] = "A record with this email exists already."
        if "header" in places:
            problems["412"] = "If-Match names another version than the present."
        if has_body:
            problems["413"] = "The body is too large."
            problems["415"] = "The body is not application/json."
        if BasicAuthentication in self.view.authentication_classes:
            problems["429"] = "Too many attempts."
        problems["503"] = "The database does not answer."
        problems["default"] = "Any other error."
        return problems
