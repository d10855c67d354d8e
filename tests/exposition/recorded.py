"""What processes record, for a scrape: instruments as the API has them, whose measurements are aggregated at once."""

from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import Any

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views

Record = Callable[..., None]


class _Everything(frozenset[str]):
    def __contains__(self, item: object) -> bool:
        return True


class AllAttributes(Views):
    """Views that let any attribute through."""

    def __init__(self) -> None:
        super().__init__({})

    def attributes(self, name: str) -> frozenset[str]:  # noqa: ARG002
        return _Everything()


class Worker:
    """One process; `span` is what its measurements are made in, (trace id, span id, sampled)."""

    def __init__(self, aggregation: Aggregation, number: int) -> None:
        self._aggregation = aggregation
        self._number = number
        self.span: tuple[bytes | None, bytes | None, bool] = (None, None, False)

    def _make(self, kind: str, *described: str, bounds: Sequence[float] | None = None) -> Record:
        name, unit, description = (*described, "", "")[:3]
        buckets = None if bounds is None else tuple(map(float, bounds))
        instrument = (kind, name, unit, description, f"scope {self._number}", "", "", buckets)

        def record(value: float, attributes: Mapping[str, Any] | None = None) -> None:
            self._aggregation.record(instrument, value, attributes or {}, time_ns(), *self.span, source=self._number)

        return record

    def counter(self, *described: str) -> Record:
        return self._make("counter", *described)

    def updowncounter(self, *described: str) -> Record:
        return self._make("updowncounter", *described)

    def gauge(self, *described: str) -> Record:
        return self._make("gauge", *described)

    def histogram(self, *described: str, bounds: Sequence[float] | None = None) -> Record:
        return self._make("histogram", *described, bounds=bounds)
