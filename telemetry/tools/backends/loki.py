"""Loki: log lines and counts by LogQL. https://grafana.com/docs/loki/latest/reference/loki-http-api/."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

from telemetry.tools.backends.http import Backend


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; `labels` are those of its stream and its structured metadata, `time_ns` is since the epoch."""

    time_ns: int
    line: str
    labels: Mapping[str, str]


class Loki(Backend):
    """A Loki 3 or newer."""

    name: ClassVar[str] = "Loki"
    variable: ClassVar[str] = "TELEMETRY_LOKI_URL"
    default_url: ClassVar[str] = "http://localhost:3100"
    ready_path: ClassVar[str] = "/ready"

    def lines(self, logql: str, start: float, end: float, limit: int = 100) -> list[LogLine]:
        """Return the newest lines that match, between two times (seconds since the epoch), at most `limit`."""
        parameters = {"query": logql, "start": _nanoseconds(start), "end": _nanoseconds(end), "limit": limit}
        found = [
            LogLine(int(entry[0]), str(entry[1]), stream["stream"])
            for stream in self._result("/loki/api/v1/query_range", parameters, "streams")
            for entry in stream["values"]
        ]
        return sorted(found, key=lambda line: line.time_ns, reverse=True)

    def count(self, logql: str, start: float, end: float) -> int:
        """Return how many lines match a log query, between two times (seconds since the epoch, made whole)."""
        seconds = max(ceil(end) - int(start), 1)
        parameters = {"query": f"sum(count_over_time({logql} [{seconds}s]))", "time": _nanoseconds(ceil(end))}
        vector = self._result("/loki/api/v1/query", parameters, "vector")
        return round(sum(float(one["value"][1]) for one in vector))

    def _result(self, path: str, parameters: Mapping[str, object], kind: str) -> list[Any]:
        data = self.get_json(path, parameters)
        data = data.get("data") if isinstance(data, dict) else None
        if not isinstance(data, dict) or data.get("resultType") != kind:
            raise self.error(f"{self.base}{path}", f"the answer has no {kind}")
        result: list[Any] = data.get("result") or []
        return result


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
