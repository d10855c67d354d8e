"""Prometheus: values, exemplars, scrape targets. https://prometheus.io/docs/prometheus/latest/querying/api/."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from telemetry.tools.backends.http import Backend


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of an instant query."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Range:
    """The raw samples of one series: time (seconds since the epoch) and value, the oldest first."""

    labels: Mapping[str, str]
    values: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Target:
    """One target that is scraped. `health` is up, down or unknown (not scraped yet)."""

    url: str
    health: str
    last_error: str


class Prometheus(Backend):
    """A Prometheus, or a server with its API (Mimir, Thanos: with their path in the URL)."""

    name: ClassVar[str] = "Prometheus"
    variable: ClassVar[str] = "TELEMETRY_PROMETHEUS_URL"
    default_url: ClassVar[str] = "http://localhost:9090"
    ready_path: ClassVar[str] = "/-/ready"

    def query(self, expression: str, time: float | None = None) -> list[Sample]:
        """Return the samples of a vector or scalar expression at `time` (seconds since the epoch; default: now)."""
        parameters: dict[str, object] = {"query": expression}
        if time is not None:
            parameters["time"] = f"{time:.3f}"
        data = self._data("query", parameters)
        result, kind = data.get("result", []), data.get("resultType")
        if kind == "scalar":
            return [Sample({}, float(result[1]))]
        if kind != "vector":
            raise self.error(f"{self.base}/api/v1/query", f"the result is a {kind}, not a vector or scalar")
        return [Sample(one["metric"], float(one["value"][1])) for one in result]

    def value(self, expression: str, time: float | None = None) -> float | None:
        """Return the sum of the samples that `expression` selects, or None if there are none."""
        samples = self.query(expression, time)
        return sum(sample.value for sample in samples) if samples else None

    def ranges(self, expression: str) -> list[Range]:
        """Return the raw samples that a selector with a range (`up[5m]`) finds now."""
        data = self._data("query", {"query": expression})
        if data.get("resultType") != "matrix":
            raise self.error(f"{self.base}/api/v1/query", f"the result is a {data.get('resultType')}, not a matrix")
        return [
            Range(one["metric"], [(float(time), float(value)) for time, value in one["values"]])
            for one in data.get("result", [])
        ]

    def traces_of_exemplars(self, selector: str, start: float, end: float) -> set[str]:
        """Return the ids of the traces that a selector's exemplars between two times (since the epoch) link to."""
        parameters = {"query": selector, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        found = self._data("query_exemplars", parameters) or ()
        labels = [exemplar["labels"] for series in found for exemplar in series.get("exemplars", ())]
        return {one["trace_id"] for one in labels if one.get("trace_id")}

    def targets(self) -> list[Target]:
        """Return the active scrape targets."""
        return [
            Target(
                url=one.get("scrapeUrl", ""),
                health=one.get("health", "unknown"),
                last_error=one.get("lastError", ""),
            )
            for one in self._data("targets", {"state": "active"}).get("activeTargets", ())
        ]

    def flags(self) -> dict[str, str]:
        """Return the flags it was started with, defaults included."""
        flags: dict[str, str] = self._data("status/flags", {})
        return flags

    def _data(self, path: str, parameters: Mapping[str, object]) -> Any:
        answer = self.get_json(f"/api/v1/{path}", parameters)
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise self.error(f"{self.base}/api/v1/{path}", "the answer is not that of Prometheus' API")
        return answer.get("data")
