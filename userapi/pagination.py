"""Keyset pagination: a page begins where the last one ended, found by an index instead of counting rows.

The cost of a page depends only on its size, not on its position, and there is no COUNT query.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Expression, F, Model, QuerySet
from django.db.models.fields.tuple_lookups import (
    Tuple,
    TupleGreaterThan,
    TupleGreaterThanOrEqual,
    TupleLessThan,
    TupleLessThanOrEqual,
)
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from userapi.cursors import Cursor, Direction

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200

_LOOKUPS: dict[tuple[bool, bool], Any] = {  # by descending, inclusive
    (False, False): TupleGreaterThan,
    (False, True): TupleGreaterThanOrEqual,
    (True, False): TupleLessThan,
    (True, True): TupleLessThanOrEqual,
}


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page and the cursors of its neighbours, None for a missing neighbour."""

    rows: list[Any]
    next: Cursor | None
    previous: Cursor | None


class Keyset:
    """Reads pages of one ordering; `keys` are expressions that are unique together and covered by an index."""

    def __init__(self, ordering: str, keys: tuple[Expression | F, ...]) -> None:
        self.ordering = ordering
        self._descending = ordering.startswith("-")
        self._expressions = keys
        self._names = tuple(f"key_{number}" for number in range(len(keys)))

    def page(self, queryset: QuerySet[Any], size: int, cursor: Cursor | None) -> Page:
        """Return at most `size` rows from the cursor on, or from the first row."""
        backwards = cursor is not None and cursor.direction == "previous"
        descending = self._descending != backwards
        # The keys come from the database, as its LOWER() may differ from Python's.
        rows = queryset.annotate(**dict(zip(self._names, self._expressions, strict=True)))
        if cursor is not None:
            rows = self._beyond(rows, cursor, descending=descending)
        rows = rows.order_by(*(f"-{name}" if descending else name for name in self._names))
        found = list(rows[: size + 1])
        more = len(found) > size
        found = found[:size]
        if backwards:
            found.reverse()
        return self._with_neighbours(found, cursor, more=more)

    def _beyond(self, rows: QuerySet[Any], cursor: Cursor, *, descending: bool) -> QuerySet[Any]:
        lookup = _LOOKUPS[descending, cursor.inclusive]
        # For SQLite the tuple becomes ORs, with which alone it would read the index from its start.
        bound = {f"{self._names[0]}__{'lte' if descending else 'gte'}": cursor.keys[0]}
        return rows.filter(**bound).filter(lookup(Tuple(*self._names), cursor.keys))

    def _with_neighbours(self, found: list[Any], cursor: Cursor | None, *, more: bool) -> Page:
        if cursor is None:
            return Page(found, self._at(found[-1], "next") if more else None, None)
        if not found:
            # The rows beyond are gone: the page back includes the cursor's own row if this one excluded it.
            back: Direction = "previous" if cursor.direction == "next" else "next"
            around = Cursor(self.ordering, back, not cursor.inclusive, cursor.keys)
            return Page([], around if back == "next" else None, around if back == "previous" else None)
        onward = more if cursor.direction == "next" else True
        backward = more if cursor.direction == "previous" else True
        return Page(
            found,
            self._at(found[-1], "next") if onward else None,
            self._at(found[0], "previous") if backward else None,
        )

    def _at(self, row: Model, direction: Direction) -> Cursor:
        values = (getattr(row, name) for name in self._names)
        return Cursor(
            self.ordering, direction, False, tuple(v.isoformat() if hasattr(v, "isoformat") else str(v) for v in values)
        )


class KeysetPagination(BasePagination):
    """The list's `page_size`, `ordering` and `cursor` parameters.

    The view defines the orderings: `orderings` (name to keys, ascending) and `default_ordering`.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        orderings: Mapping[str, tuple[Expression | F, ...]] = view.orderings  # type: ignore[union-attr]
        ordering = self._ordering(request, orderings, view.default_ordering)  # type: ignore[union-attr]
        size = self._size(request)
        keys = orderings[ordering.removeprefix("-")]
        text = request.query_params.get("cursor")
        cursor = Cursor.decode(text, ordering, len(keys)) if text else None
        self._url = request.build_absolute_uri()
        self.page = Keyset(ordering, keys).page(queryset, size, cursor)
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        next_link, previous_link = self.links()
        return Response({"next": next_link or None, "previous": previous_link or None, "results": data})

    def links(self) -> tuple[str, str]:
        """Return the URLs of the next and the previous page, empty for a missing one."""
        return self._link(self.page.next), self._link(self.page.previous)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri", "description": "Absolute URL; null where there is none."}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        names = [sign + name for name in view.orderings for sign in ("", "-")]  # type: ignore[attr-defined]
        default = view.default_ordering  # type: ignore[attr-defined]
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE}
        ordering = {"type": "string", "enum": names, "default": default}
        empty = {"allowEmptyValue": True}  # treated as missing
        return [
            _parameter("cursor", "Where to read on: taken from a page's links.", {"type": "string"}),
            _parameter("page_size", "Rows of a page.", size) | empty,
            _parameter("ordering", "A leading - reverses; names sort as the database does.", ordering) | empty,
        ]

    def _link(self, cursor: Cursor | None) -> str:
        return "" if cursor is None else replace_query_param(self._url, "cursor", cursor.encode())

    @staticmethod
    def _ordering(request: Request, orderings: Mapping[str, Any], default: str) -> str:
        ordering = request.query_params.get("ordering") or default
        if ordering.removeprefix("-") not in orderings:
            accepted = ", ".join(sign + name for name in orderings for sign in ("", "-"))
            raise ValidationError({"ordering": [f"Accepted: {accepted}."]})
        return ordering

    @staticmethod
    def _size(request: Request) -> int:
        text = request.query_params.get("page_size") or str(DEFAULT_PAGE_SIZE)
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE_SIZE):  # noqa: PLR2004
            raise ValidationError({"page_size": [f"Accepted: a whole number from 1 to {MAX_PAGE_SIZE}."]})
        return int(text)


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
