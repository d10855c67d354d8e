"""The embedded console's JSON API (docs in `telemetry.tools.console.views`): arrived items of all three signals."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from telemetry.tools.account import Account, from_data
from telemetry.tools.backends.http import Backend

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class KeptSpan:
    """A span that the console keeps."""

    name: str
    kind: str
    service: str
    mode: str


@dataclass(frozen=True, slots=True)
class KeptTrace:
    """The spans of a trace and the number of its log records."""

    spans: list[KeptSpan]
    logs: int


@dataclass(frozen=True, slots=True)
class KeptExemplar:
    """An exemplar; `time` is in seconds since the epoch, 0 if it has none."""

    trace_id: str
    time: float


@dataclass(frozen=True, slots=True)
class KeptSeries:
    """A series with its newest point's value, and the exemplars of the requested points."""

    attributes: Mapping[str, Any]
    value: float
    exemplars: tuple[KeptExemplar, ...]


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """A target that the console scrapes."""

    url: str
    ok: bool
    error: str


class Console(Backend):
    """The embedded console (`manage.py console`)."""

    name: ClassVar[str] = "the console"
    variable: ClassVar[str] = "TELEMETRY_CONSOLE_URL"
    default_url: ClassVar[str] = "http://localhost:3000"
    ready_path: ClassVar[str] = "/healthz"

    def accounts(self) -> tuple[float, dict[str, list[Account]]]:
        """Return when counting began (seconds since the epoch), and by mode the account of each signal so far."""
        answer = self._get("/api/summary")
        accounts = {mode: [from_data(one) for one in totals["accounts"]] for mode, totals in answer["modes"].items()}
        return _seconds(answer["started"]), accounts

    def services(self, mode: str) -> list[str]:
        """Return the names of the services of a mode that have sent something."""
        answer = self._get("/api/services")["services"]
        return sorted({one["service"] for one in answer if one["mode"] == mode})

    def trace(self, trace_id: str) -> KeptTrace:
        """Return what it keeps of a trace."""
        answer = self._get(f"/api/traces/{trace_id}", accepted=(_NOT_FOUND,)) or {"spans": [], "logs": []}
        spans = [KeptSpan(one["name"], one["kind"], one["service"], one["mode"]) for one in answer["spans"]]
        return KeptTrace(spans, len(answer["logs"]))

    def latest_logs(self, limit: int) -> Counter[str]:
        """Return how many of the latest log records are of each service."""
        return Counter(one["service"] for one in self._get("/api/logs", {"limit": limit})["logs"])

    def series(self, metric: str, mode: str, sample: str, points: int) -> tuple[list[KeptSeries], int]:
        """Return a mode's series of a metric such as `http.server.request.duration`, and how many are left out.

        Of a scraped one (`http_server_..._seconds`), `sample` selects those of one sample (`..._count`).
        """
        parameters = {"mode": mode, "points": points} | ({"sample": sample} if sample else {})
        answer = self._get(f"/api/metrics/{quote(metric)}", parameters, accepted=(_NOT_FOUND,))
        if answer is None:
            return [], 0
        return [_series(one) for one in answer["series"] if one["points"]], answer["series_left_out"]

    def targets(self) -> list[ScrapeTarget]:
        """Return the targets that it scrapes."""
        answer = self._get("/api/summary")["scrape_targets"]
        return [ScrapeTarget(one["url"], bool(one["up"]), one["last_error"]) for one in answer]

    def _get(self, path: str, parameters: Mapping[str, object] | None = None, accepted: tuple[int, ...] = ()) -> Any:
        answer = self.get_json(path, parameters, accepted)
        if answer is not None and not isinstance(answer, dict):
            raise self.error(f"{self.base}{path}", "the answer is not from the console")
        return answer


def _series(answer: Mapping[str, Any]) -> KeptSeries:
    newest = answer["points"][-1]
    return KeptSeries(
        attributes=answer["attributes"],
        value=float(newest.get("count", newest.get("value", 0))),
        exemplars=tuple(
            KeptExemplar(exemplar["trace_id"] or "", _seconds(exemplar["time"]))
            for point in answer["points"]
            for exemplar in point["exemplars"]
        ),
    )


def _seconds(time: str | None) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0.0
