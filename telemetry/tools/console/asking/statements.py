"""Database spans: the table of their statement, and statements that a trace repeats (N+1)."""

import re

from telemetry.tools.console.storage.records import Span

#: So many equal statements of one parent are shown as one.
REPEATED = 3
_NAME = r'(?:"[^"]{1,200}"|`[^`]{1,200}`|\[[^\]]{1,200}\]|[^\s"`\[\](),;]{1,200})'
_TABLE = re.compile(rf"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+(?:ONLY\s+)?({_NAME}(?:\.{_NAME})?)", re.IGNORECASE)
_QUOTES = re.compile(r'["`\[\]]')


def statement_of(span: Span) -> str:
    """The statement of a database's span, empty for others."""
    return str(span.attributes.get("db.query.text") or span.attributes.get("db.statement") or "")


def table_of(span: Span) -> str:
    """The first table of the statement, empty for spans without one."""
    table = span.attributes.get("db.collection.name")
    found = None if table else _TABLE.search(statement_of(span))
    return _QUOTES.sub("", found[1]) if found else str(table or "")


def title_of(span: Span) -> str:
    """The span's name with the table of its statement, where the name does not have it."""
    table = table_of(span)
    return span.name if table in span.name else f"{span.name} {table}"
