"""Takes out of values what is another one in every run: ids, times, ports, folders."""

import re
from typing import Any

from tests.support.service import ROOT

_PATTERNS = (
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d+"), r"\1:<port>"),
    # Django names a savepoint by the thread that made it.
    (re.compile(r"\"?s\d+_x\d+\"?"), "<savepoint>"),
    (re.compile(re.escape(str(ROOT))), "<root>"),
    (re.compile(r"^python-requests/[\d.]+$"), "python-requests/<version>"),
)
_BY_KEY = (
    (re.compile(r"(^|[._])port$"), "<port>"),
    (re.compile(r"\.stacktrace$"), "<stack trace>"),
    (re.compile(r"\.duration$|\.lineno$|code\.line\.number$"), "<number>"),
    (re.compile(r"[._]version$"), "<version>"),
    (re.compile(r"^service[._]instance[._]id$"), "<uuid>"),
)


def value(key: str, given: Any) -> Any:
    """Return the value of an attribute, the same in every run."""
    for pattern, replacement in _BY_KEY:
        if pattern.search(key):
            return replacement
    return text(given) if isinstance(given, str) else given


def text(given: str) -> str:
    """Return a text, the same in every run."""
    for pattern, replacement in _PATTERNS:
        given = pattern.sub(replacement, given)
    return given


def attributes(given: dict[str, Any]) -> dict[str, Any]:
    """Return attributes in alphabetical order, the same in every run."""
    return {key: value(key, given[key]) for key in sorted(given)}
