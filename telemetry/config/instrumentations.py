"""The instrumentations of other packages that TELEMETRY_INSTRUMENT names, which must be installed.

https://opentelemetry.io/ecosystem/registry/?language=python&component=instrumentation
"""

import re
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from telemetry.config.values import Parser, RefusalError

GROUP = "opentelemetry_instrumentor"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_RECORDED = frozenset({"django", "logging", "psycopg", "sqlite3", "wsgi", "asgi"})
"""Instrumentations that are not needed: telemetry records these itself, or with TELEMETRY_INSTRUMENTATION=contrib."""
DRIVERS = {"postgresql": "psycopg", "sqlite": "sqlite3"}
"""By Django's vendor of a database, contrib's name of its driver."""


def find(name: str) -> EntryPoint | None:
    """Return the instrumentation named `name`, None if it is not installed."""
    return next(iter(entry_points(group=GROUP, name=name)), None)


class Instrumentations(Parser[tuple[str, ...]]):
    """Comma-separated names of instrumentations; `none` alone is the empty list."""

    accepted = "comma-separated names of installed instrumentations, such as requests,httpx,redis, or none"

    def __call__(self, text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
        if names in {(), ("none",)}:
            return ()
        for name in names:
            self._check(name)
        return names

    @staticmethod
    def _check(name: str) -> None:
        if not _NAME.fullmatch(name):
            raise RefusalError("has an entry that is not a name")
        if name in _RECORDED:
            raise RefusalError(f"names {name}, which is recorded anyway (TELEMETRY_INSTRUMENTATION)")
        found = find(name)
        if found is None:
            installed = sorted({each.name for each in entry_points(group=GROUP)} - _RECORDED)
            similar = get_close_matches(name, installed, n=1)
            hint = f"did you mean {similar[0]}?" if similar else f"pip install opentelemetry-instrumentation-{name}"
            raise RefusalError(f"names {name}, for which no instrumentation is installed ({hint})")
        from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

        conflict = get_dist_dependency_conflicts(found.dist) if found.dist else None
        if conflict is not None:
            wanted = conflict.required or " or ".join(map(str, conflict.required_any or ()))
            has = conflict.found or ", ".join(map(str, conflict.found_any or ())) or "none"
            raise RefusalError(f"names {name}, which needs {wanted}; {has} is installed")
