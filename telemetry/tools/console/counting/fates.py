"""What the senders report of their records, in `otel.sdk.*`: how many were made, delivered and lost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import Metric

DELIVERED = ""
_MOST_REASONS = 32
_LONGEST_REASON = 100
_OTHER = "(other)"
_JOURNAL_FULL = "journal_full"
_OF_JOURNAL = {"traces": "spans", "logs": "log records"}

Role = Literal["recorded", "ended", "dropped", "journal"]

#: Counters of the SDK and of the journal: which signal they count, and what: items that were recorded, that ended
#: (delivered without an `error.type`), that were dropped before (with one), or that found no room in a journal.
_COUNTERS: dict[str, tuple[str, Role]] = {
    "otel.sdk.span.started": ("spans", "recorded"),
    "otel.sdk.log.created": ("log records", "recorded"),
    "otel.sdk.exporter.span.exported": ("spans", "ended"),
    "otel.sdk.exporter.log.exported": ("log records", "ended"),
    "otel.sdk.exporter.metric_data_point.exported": ("data points", "ended"),
    "otel.sdk.processor.span.processed": ("spans", "dropped"),
    "otel.sdk.processor.log.processed": ("log records", "dropped"),
    "telemetry.journal.dropped": ("", "journal"),
}
#: The same by their names in a scrape.
FATE_METRICS = _COUNTERS | {f"{name.replace('.', '_')}_total": counter for name, counter in _COUNTERS.items()}


@dataclass(slots=True)
class Fates:
    """What became of one mode's records: by signal, how many were delivered (key "") or lost, by reason.

    `made` is how many were recorded, and `before` how many had arrived when the first count of a sender came that is
    older than the console: what it had counted by then is not in `made`. `backlog` is how many of those had not ended
    by then, so that they end beyond what is in `made`.
    """

    signals: dict[str, Counter[str]] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    before: dict[str, int] = field(default_factory=dict)
    backlog: Counter[str] = field(default_factory=Counter)

    def waiting(self, signal: str) -> int:
        """How many have not ended, as far as the senders have reported it."""
        ended = self.signals.get(signal, Counter()).total()
        return max(self.made[signal] + self.backlog[signal] - ended, 0)

    def delivered(self, signal: str) -> int | None:
        """How many the backends have confirmed, None if no sender reported it."""
        counts = self.signals.get(signal)
        return None if counts is None else counts[DELIVERED]

    def lost(self, signal: str) -> dict[str, int]:
        """How many were lost, by reason; the most frequent first."""
        counts = self.signals.get(signal, Counter())
        return {reason: count for reason, count in counts.most_common() if reason != DELIVERED and count}

    @property
    def dropped(self) -> int:
        """Spans and log records lost for any reason; a data point that was is in the next one."""
        return sum(sum(self.lost(signal).values()) for signal in ("spans", "log records"))

    def add(self, metric: str, labels: Mapping[str, object], gain: int) -> None:
        """Count what a series of `metric` (a key of FATE_METRICS) has gained.

        `labels` are its attributes, by their names in OpenTelemetry or in a scrape.
        """
        signal, role = FATE_METRICS[metric]
        reason = _label(labels, "error.type")[:_LONGEST_REASON]
        if role == "journal":
            signal, reason = _OF_JOURNAL.get(_label(labels, "telemetry.signal"), ""), _JOURNAL_FULL
        if not signal or not (gain or role == "ended"):
            return
        if role in {"recorded", "journal"}:
            if _is_sampled(labels):
                self.made[signal] += gain
            if role == "recorded":
                return
        if role == "dropped" and not reason:
            return
        counts = self.signals.setdefault(signal, Counter())
        counts[reason if reason in counts or len(counts) < _MOST_REASONS else _OTHER] += gain

    def begin(self, metric: str, labels: Mapping[str, object], count: int, arrived: Mapping[str, int]) -> None:
        """Note that a series of `metric` is older than the console: `arrived` is what it has by signal."""
        signal, role = FATE_METRICS[metric]
        if role == "recorded":
            self.before.setdefault(signal, arrived[signal])
            self.made.setdefault(signal, 0)
            self.backlog[signal] += count if _is_sampled(labels) else 0
        elif role == "ended" or (role == "dropped" and _label(labels, "error.type")):
            self.backlog[signal] -= count


def started_at(family: Metric) -> dict[frozenset[tuple[str, str]], float]:
    """Return since when the series of a scraped counter count (seconds since the epoch), by their labels."""
    return {
        frozenset(sample.labels.items()): sample.value
        for sample in family.samples
        if sample.name == f"{family.name}_created"
    }


def _is_sampled(labels: Mapping[str, object]) -> bool:
    return _label(labels, "otel.span.sampling_result") in {"", "RECORD_AND_SAMPLE"}


def _label(labels: Mapping[str, object], name: str) -> str:
    value = labels.get(name)
    return str(labels.get(name.replace(".", "_"), "") if value is None else value)
