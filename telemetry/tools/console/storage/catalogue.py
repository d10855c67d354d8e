"""The metrics that are kept; one that is both received and scraped is one entry."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from telemetry.exposition.names import family_name
from telemetry.tools.console.storage.metrics import MetricSummary
from telemetry.tools.console.storage.points import Instrument

_KINDS = {
    "counter": "counter",
    "up_down_counter": "updowncounter",
    "gauge": "gauge",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
}


#: Groups of metrics by the first word of their names, in order; what is in none is the service's own.
GROUPS = ("The service's own", "HTTP", "Database", "Process and runtime", "Telemetry itself")
_GROUP_OF = {"http": 1, "db": 2, "otel": 4, "telemetry": 4, "target": 4, "scrape": 4, "up": 4} | dict.fromkeys(
    ("process", "cpython", "python", "system", "jvm", "go", "nodejs", "dotnet"), 3
)


@dataclass(slots=True)
class Entry:
    """One metric: its instruments by source, the OTLP one first if there are both."""

    instruments: list[Instrument] = field(default_factory=list)
    modes: set[str] = field(default_factory=set)
    series: int = 0

    @property
    def first(self) -> Instrument:
        """The one whose name, unit and description are shown."""
        return self.instruments[0]

    @property
    def names(self) -> list[str]:
        """All names of the metric."""
        return list(dict.fromkeys(instrument.name for instrument in self.instruments))

    @property
    def unit(self) -> str:
        """The unit, as the sender has it; the Prometheus format has it in the name alone."""
        return next((instrument.unit for instrument in self.instruments if instrument.unit), "") or _unit_in(self)

    @property
    def shape(self) -> str:
        """How it is drawn: "counter", "histogram" or "gauge"."""
        return self.first.shape

    @property
    def group(self) -> int:
        """Its group's place in GROUPS."""
        return _GROUP_OF.get(re.split(r"[._]", self.first.name)[0], 0)

    def add(self, metric: MetricSummary) -> None:
        """Add another instrument of this metric."""
        self.instruments.append(metric.instrument)
        self.modes |= metric.modes
        self.series += metric.series


def _unit_in(entry: Entry) -> str:
    name = entry.first.name
    return next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), "")


def entries(metrics: Iterable[MetricSummary]) -> list[Entry]:
    """All entries by group and name."""
    found: list[Entry] = []
    by_scraped_name: dict[str, Entry] = {}
    for metric in sorted(metrics, key=lambda metric: metric.instrument.source != "otlp"):
        received = metric.instrument.source == "otlp"
        entry = None if received else by_scraped_name.get(metric.instrument.name)
        if entry is None:
            found.append(entry := Entry())
        if received:
            by_scraped_name.setdefault(_scraped_name(metric.instrument), entry)
        entry.add(metric)
    return sorted(found, key=lambda entry: (entry.group, entry.first.name))


def entry_of(name: str, metrics: Iterable[MetricSummary]) -> Entry | None:
    """The entry with that name, of OpenTelemetry or of Prometheus."""
    return next((entry for entry in entries(metrics) if name in entry.names), None)


def _scraped_name(instrument: Instrument) -> str:
    kind = _KINDS.get(instrument.type)
    return family_name(instrument.name, instrument.unit, kind)[0] if kind else instrument.name
