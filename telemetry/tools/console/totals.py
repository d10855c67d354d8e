"""What has arrived since the start, per mode; eviction does not change it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

_OTHER = "(other)"
_DISTINCT_NAMES = 64


@dataclass(slots=True)
class ModeTotals:
    """Totals of one mode since the start.

    `spans` and `server_spans` count distinct spans: one that arrives again while the first is kept adds to
    `duplicate_spans` instead. `requests` is the number by the metrics.
    """

    spans: int = 0
    server_spans: int = 0
    duplicate_spans: int = 0
    log_records: int = 0
    access_records: int = 0
    data_points: int = 0
    scraped_samples: int = 0
    requests_otlp: int = 0
    requests_scraped: int = 0
    server_spans_by_service: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Requests; a service that exports by OTLP and is scraped as well reports the same ones twice."""
        return max(self.requests_otlp, self.requests_scraped)

    def count_server_span(self, service: str) -> None:
        """Count a span of kind SERVER."""
        self.server_spans += 1
        services = self.server_spans_by_service
        service = _bounded(service, services)
        services[service] = services.get(service, 0) + 1


class Totals:
    """The totals of each mode; bounded. Not thread-safe."""

    def __init__(self) -> None:
        self._modes: dict[str, ModeTotals] = {}

    def mode(self, name: str) -> ModeTotals:
        """The totals of a mode, to be added to."""
        found = self._modes.get(name)
        return self._modes.setdefault(_bounded(name, self._modes), ModeTotals()) if found is None else found

    def snapshot(self) -> dict[str, ModeTotals]:
        """A copy by mode."""
        return copy.deepcopy(self._modes)


def _bounded(name: str, known: dict[str, int] | dict[str, ModeTotals]) -> str:
    return name if name in known or len(known) < _DISTINCT_NAMES else _OTHER
