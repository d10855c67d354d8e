"""The list's `search` and `email` parameters."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.views import APIView

from userapi.users.queries import MAX_WORDS, UserQuerySet, words_of

MAX_SEARCH_LENGTH = 200
MAX_EMAIL_LENGTH = 254


class UserSearch(BaseFilterBackend):
    """Keeps the records found by `UserQuerySet.search`; white space alone filters nothing."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any, Any], view: APIView) -> QuerySet[Any, Any]:
        del view
        text = request.query_params.get("search", "").strip()
        if len(text) > MAX_SEARCH_LENGTH:
            raise ValidationError({"search": [f"At most {MAX_SEARCH_LENGTH} characters."]})
        if len(words_of(text)) > MAX_WORDS:
            raise ValidationError({"search": [f"At most {MAX_WORDS} words."]})
        return queryset.search(text) if text and isinstance(queryset, UserQuerySet) else queryset

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        del view
        description = (
            f"Each word of it, {MAX_WORDS} at most, must begin a word of the name or of the email, whatever the case."
        )
        return [_parameter("search", description, {"type": "string", "maxLength": MAX_SEARCH_LENGTH})]


class EmailFilter(BaseFilterBackend):
    """Keeps the record with the address. An empty one finds none, as it is most likely a script's unset variable."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any, Any], view: APIView) -> QuerySet[Any, Any]:
        del view
        email = request.query_params.get("email")
        if email is None or not isinstance(queryset, UserQuerySet):
            return queryset
        if len(email) > MAX_EMAIL_LENGTH:
            raise ValidationError({"email": [f"At most {MAX_EMAIL_LENGTH} characters."]})
        return queryset.with_email(email)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        del view
        description = "The whole address, whatever its case: one record or none."
        return [_parameter("email", description, {"type": "string", "maxLength": MAX_EMAIL_LENGTH})]


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
