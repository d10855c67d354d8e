"""How the OpenAPI document describes users, and conditional requests."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from userapi.schema import describe
from userapi.users.serializers import UserSerializer


def _header(name: str, description: str, *, response: bool | list[int] = False) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description, response=response)


_ENTITY_TAG = _header("ETag", "Strong entity tag: the version of the answer.", response=[200, 201])
_LOCATION = _header("Location", "Address of the record.", response=[201])
_NOT_MODIFIED = {304: OpenApiResponse(description="If-None-Match names the present version.")}
_IF_NONE_MATCH = _header("If-None-Match", "Entity tags of what the client has; the answer is 304 if one still fits.")
_IF_MATCH = _header("If-Match", "Entity tag of the version that is meant; the answer is 412 if the record has another.")

_READ: dict[str, Any] = {"parameters": [_IF_NONE_MATCH, _ENTITY_TAG]}
_READS_PAGE: dict[str, Any] = {**_READ, "responses": {200: UserSerializer(many=True), **_NOT_MODIFIED}}
_READS: dict[str, Any] = {**_READ, "responses": {200: UserSerializer, **_NOT_MODIFIED}}
_CHANGES: dict[str, Any] = {"parameters": [_IF_MATCH, _ENTITY_TAG], "responses": {200: UserSerializer}}
_DELETES: dict[str, Any] = {"parameters": [_IF_MATCH], "responses": {204: None}}

describe(
    "userapi.users.views.UserList",
    get=extend_schema(summary="List users", operation_id="list_users", **_READS_PAGE),
    post=extend_schema(
        summary="Create a user",
        operation_id="create_user",
        description="One new record.",
        parameters=[_ENTITY_TAG, _LOCATION],
    ),
)
describe(
    "userapi.users.views.UserDetail",
    get=extend_schema(summary="Read a user", operation_id="read_user", **_READS),
    put=extend_schema(summary="Replace a user", operation_id="replace_user", **_CHANGES),
    patch=extend_schema(summary="Change a user", operation_id="change_user", **_CHANGES),
    delete=extend_schema(summary="Delete a user", operation_id="delete_user", **_DELETES),
)
