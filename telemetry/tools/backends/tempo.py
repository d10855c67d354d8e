"""Tempo: a trace by its id, search and counts by TraceQL. https://grafana.com/docs/tempo/latest/api_docs/."""

from dataclasses import dataclass
from typing import Any, ClassVar

from telemetry.tools.backends.http import Backend
from telemetry.tools.backends.otlp_json import StoredSpan, spans_of

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class FoundTrace:
    """One result of a search. `start_ns` is in nanoseconds since the epoch, `matched` the number of matching spans."""

    start_ns: int
    matched: int


class Tempo(Backend):
    """A Tempo 2.7 or newer."""

    name: ClassVar[str] = "Tempo"
    variable: ClassVar[str] = "TELEMETRY_TEMPO_URL"
    default_url: ClassVar[str] = "http://localhost:3200"
    ready_path: ClassVar[str] = "/ready"

    def trace(self, trace_id: str) -> list[StoredSpan]:
        """Return the spans of a trace; empty if it is unknown."""
        answer = self.get_json(f"/api/v2/traces/{trace_id}", accepted=(_NOT_FOUND,))
        if answer is None:
            return []
        try:
            return list(spans_of((answer.get("trace") or {}).get("resourceSpans", ())))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            url = f"{self.base}/api/v2/traces/{trace_id}"
            raise self.error(url, f"the answer is not a trace ({type(error).__name__}: {error})") from None

    def search(self, traceql: str, start: float, end: float, limit: int) -> list[FoundTrace]:
        """Return traces with spans that match, between two times (seconds since the epoch), at most `limit`."""
        parameters = {"q": traceql, "start": int(start), "end": int(end) + 1, "limit": limit}
        return [self._found(one) for one in self.get_json("/api/search", parameters).get("traces") or ()]

    def count(self, traceql: str, start: float, end: float) -> int:
        """Return how many spans match a filter such as `{ resource.service.name = "a" }`, between two times (seconds).

        Needs Tempo's TraceQL metrics; spans of the last seconds are included once `query_end_cutoff` allows.
        """
        parameters = {"q": f"{traceql} | count_over_time()", "start": int(start), "end": int(end) + 1}
        series = self.get_json("/api/metrics/query", parameters).get("series") or ()
        return round(sum(float(one.get("value", 0)) for one in series))

    @staticmethod
    def _found(one: dict[str, Any]) -> FoundTrace:
        return FoundTrace(
            start_ns=int(one.get("startTimeUnixNano", 0)),
            matched=sum(int(spans.get("matched", 0)) for spans in one.get("spanSets") or ()),
        )
