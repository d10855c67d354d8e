"""Jaeger 2: a trace by its id, and the spans of a period. https://www.jaegertracing.io/docs/2.x/apis/ (API v3)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

from telemetry.tools.backends.http import Backend
from telemetry.tools.backends.otlp_json import StoredSpan, spans_of

_NOT_FOUND = 404


class Jaeger(Backend):
    """A Jaeger 2 with its query service (port 16686)."""

    name: ClassVar[str] = "Jaeger"
    variable: ClassVar[str] = "TELEMETRY_JAEGER_URL"
    default_url: ClassVar[str] = "http://localhost:16686"
    ready_path: ClassVar[str] = "/api/v3/services"

    def trace(self, trace_id: str) -> list[StoredSpan]:
        """Return the spans of a trace; empty if it is unknown."""
        return self._spans(f"/api/v3/traces/{trace_id}", {"rawTraces": "true"})

    def search(self, service: str, start: float, end: float, limit: int) -> list[StoredSpan]:
        """Return the spans of at most `limit` traces of a service, begun between two times (seconds)."""
        parameters: dict[str, object] = {
            "query.serviceName": service,
            "query.startTimeMin": _rfc3339(start),
            "query.startTimeMax": _rfc3339(end),
            "query.searchDepth": limit,
            "query.rawTraces": "true",
        }
        return self._spans("/api/v3/traces", parameters)

    def _spans(self, path: str, parameters: Mapping[str, object]) -> list[StoredSpan]:
        answer = self.get_json(path, parameters, accepted=(_NOT_FOUND,))
        if answer is None:
            return []
        try:
            return list(spans_of(answer["result"].get("resourceSpans", ())))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self.error(
                f"{self.base}{path}", f"the answer is not a trace ({type(error).__name__}: {error})"
            ) from None


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
