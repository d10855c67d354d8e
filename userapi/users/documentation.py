"""How the OpenAPI document describes conditional requests."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from userapi.problems import MEDIA_TYPE
from userapi.schema import ProblemSerializer
from userapi.users.serializers import UserSerializer


def _header(name: str, description: str, *, response: bool | list[int] = False) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description, response=response)


ENTITY_TAG = _header("ETag", "Strong entity tag: the version of the answer.", response=[200, 201])
_NOT_MODIFIED = {304: OpenApiResponse(description="If-None-Match names the present version.")}
_FAILED = {(412, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, "If-Match names another version than the present.")}
_IF_NONE_MATCH = _header("If-None-Match", "Entity tags of what the client has; the answer is 304 if one still fits.")
_IF_MATCH = _header("If-Match", "Entity tag of the version that is meant; the answer is 412 if the record has another.")

_READ: dict[str, Any] = {"parameters": [_IF_NONE_MATCH, ENTITY_TAG]}
READS_PAGE: dict[str, Any] = {**_READ, "responses": {200: UserSerializer(many=True), **_NOT_MODIFIED}}
READS: dict[str, Any] = {**_READ, "responses": {200: UserSerializer, **_NOT_MODIFIED}}
CHANGES: dict[str, Any] = {"parameters": [_IF_MATCH, ENTITY_TAG], "responses": {200: UserSerializer, **_FAILED}}
DELETES: dict[str, Any] = {"parameters": [_IF_MATCH], "responses": {204: None, **_FAILED}}
