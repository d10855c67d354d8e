"""The list's `search` parameter."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.views import APIView

from userapi.users.queries import UserQuerySet

MAX_SEARCH_LENGTH = 200


class UserSearch(BaseFilterBackend):
    """Keeps the records that `UserQuerySet.search` finds; white space alone asks for nothing."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any, Any], view: APIView) -> QuerySet[Any, Any]:
        del view
        text = request.query_params.get("search", "").strip()
        if len(text) > MAX_SEARCH_LENGTH:
            raise ValidationError({"search": [f"At most {MAX_SEARCH_LENGTH} characters."]})
        return queryset.search(text) if text and isinstance(queryset, UserQuerySet) else queryset

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        del view
        return [
            {
                "name": "search",
                "in": "query",
                "required": False,
                "description": "Each word of it must begin a word of the name or of the email, whatever the case.",
                "schema": {"type": "string", "maxLength": MAX_SEARCH_LENGTH},
            }
        ]
