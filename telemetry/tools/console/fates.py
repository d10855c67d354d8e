"""What the senders report of their records, in `otel.sdk.*`: how many were made, delivered and lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

DELIVERED = ""
_MOST_MODES = 64
_MOST_REASONS = 32
_LONGEST_REASON = 100
_OTHER = "(other)"

#: Counters of the SDK: which signal they count, and whether what they count without `error.type` has been delivered.
_COUNTERS = {
    "otel.sdk.exporter.span.exported": ("spans", True),
    "otel.sdk.exporter.log.exported": ("log records", True),
    "otel.sdk.exporter.metric_data_point.exported": ("data points", True),
    "otel.sdk.processor.span.processed": ("spans", False),
    "otel.sdk.processor.log.processed": ("log records", False),
}
#: The same by their names in a scrape.
FATE_METRICS = _COUNTERS | {f"{name.replace('.', '_')}_total": counter for name, counter in _COUNTERS.items()}


@dataclass(slots=True)
class Fates:
    """What became of one mode's records: by signal, how many were delivered (key "") or lost, by reason."""

    signals: dict[str, Counter[str]] = field(default_factory=dict)

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


class FateCounts:
    """Adds up what the senders report, by mode; bounded. Not thread-safe."""

    def __init__(self) -> None:
        self._modes: dict[str, Fates] = {}

    def add(self, mode: str, metric: str, reason: str, gain: int) -> None:
        """Count what a series of `metric` (a key of FATE_METRICS) has gained; `reason` is its `error.type`."""
        signal, is_delivery = FATE_METRICS[metric]
        reason = reason[:_LONGEST_REASON]
        if mode not in self._modes and len(self._modes) >= _MOST_MODES:
            mode = _OTHER
        counts = self._modes.setdefault(mode, Fates()).signals.setdefault(signal, Counter())
        if not (reason or is_delivery):
            return
        counts[reason if reason in counts or len(counts) < _MOST_REASONS else _OTHER] += gain

    def snapshot(self) -> dict[str, Fates]:
        """A copy by mode."""
        return {
            mode: Fates({signal: counts.copy() for signal, counts in fates.signals.items()})
            for mode, fates in self._modes.items()
        }
