"""What has arrived, according to the console's JSON API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from telemetry.tools.demo.ports import Mode
from telemetry.tools.traffic.client import call

_OK = 200
_MOST_TRACES = 1000
_TIMEOUT = 5.0

# What the SDK counts of the items that it dropped, by "error.type": with a full queue, and after a failed export.
_FATES = (
    "otel.sdk.processor.span.processed",
    "otel.sdk.processor.log.processed",
    "otel.sdk.exporter.span.exported",
    "otel.sdk.exporter.log.exported",
)


@dataclass(frozen=True, slots=True)
class Arrived:
    """The items of one mode that have arrived: first those that each request leaves in every signal, then all."""

    server_spans: int = 0
    access_records: int = 0
    requests: int = 0
    """As counted by the metrics."""
    spans: int = 0
    data_points: int = 0
    scraped_samples: int = 0
    log_records: int = 0
    duplicate_spans: int = 0

    @classmethod
    def from_summary(cls, totals: dict[str, Any]) -> "Arrived":
        """Read the totals of one mode; missing fields count as 0."""
        return cls(**{name: int(totals.get(name, 0)) for name in cls.__slots__})


class Arrivals:
    """Queries the console. While it does not answer, its last answer is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._summary: dict[str, Any] = {}
        self._dropped: dict[Mode, int] = {}

    def refresh(self) -> str | None:
        """Query again; return None, or the reason why there is no new answer."""
        try:
            answer = call(self._port, "GET", "/api/summary", timeout=_TIMEOUT)
        except OSError as error:
            return f"the console does not answer: {error}"
        if answer.status != _OK:
            return f"the console answers with status {answer.status}"
        self._summary = answer.body
        return None

    def of(self, mode: Mode) -> Arrived:
        """What has arrived of `mode`."""
        return Arrived.from_summary(self._summary.get("modes", {}).get(mode, {}))

    def dropped(self, mode: Mode) -> int:
        """How many spans and log records the service in `mode` has dropped, according to its metrics so far."""
        return self._dropped.get(mode, 0)

    def refresh_drops(self, modes: Sequence[Mode]) -> None:
        """Query the dropped items again."""
        for mode in modes:
            # Scraped metrics have the names of Prometheus.
            names = _FATES if mode == "collector" else tuple(name.replace(".", "_") for name in _FATES)
            try:
                self._dropped[mode] = sum(self._failed(name, mode) for name in names)
            except OSError:
                return

    def _failed(self, name: str, mode: Mode) -> int:
        answer = call(self._port, "GET", f"/api/metrics/{name}?mode={mode}&points=1", timeout=_TIMEOUT)
        return sum(
            int(series["points"][-1]["value"])
            for series in answer.body.get("series", ())
            if {"error.type", "error_type"} & series["attributes"].keys() and not _is_creation_time(series)
        )

    @property
    def evicted(self) -> int:
        """How many records the console has evicted to make room; they are still in the counts."""
        return sum(retained["evicted"] for retained in self._summary.get("retained", {}).values())

    @property
    def refused(self) -> int:
        """How many exports the console has refused."""
        return sum(answer["count"] for answer in self._summary.get("answers", ()) if answer["status"] != _OK)

    def scrape(self) -> datetime:
        """Scrape the service now, and return when that was; raises OSError where it fails."""
        answer = call(self._port, "POST", "/api/scrape", timeout=2 * _TIMEOUT)
        targets = answer.body.get("scrape_targets") or [{}]
        if not targets[0].get("up"):
            reason = targets[0].get("last_error") or f"the console answers with status {answer.status}"
            raise OSError(f"the last scrape failed: {reason}")
        return datetime.fromisoformat(targets[0]["last_scrape"])

    def visits_since(self, mode: Mode, time: datetime) -> int:
        """Count the latest traces of `mode` that ended after `time`."""
        try:
            answer = call(self._port, "GET", f"/api/traces?mode={mode}&limit={_MOST_TRACES}", timeout=_TIMEOUT)
        except OSError:
            return 0
        return sum(
            datetime.fromisoformat(trace["start"]) + timedelta(milliseconds=trace["duration_ms"]) >= time
            for trace in answer.body.get("traces", ())
        )


def _is_creation_time(series: dict[str, Any]) -> bool:
    return str(series["sample"]).endswith("_created")
