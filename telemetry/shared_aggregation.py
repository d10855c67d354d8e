"""Synchronous instruments that count in a worker's slot file itself: nothing to collect, nothing lost at a kill."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from opentelemetry.metrics import Asynchronous
from opentelemetry.sdk.metrics import Counter, Histogram, UpDownCounter, _Gauge
from opentelemetry.sdk.metrics._internal.aggregation import (  # the SDK offers no public way to add an aggregation
    _DEFAULT_EXPLICIT_BUCKET_HISTOGRAM_AGGREGATION_BOUNDARIES as DEFAULT_BOUNDARIES,
)
from opentelemetry.sdk.metrics._internal.aggregation import _Aggregation
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics.view import Aggregation, DefaultAggregation
from opentelemetry.trace import TraceFlags, get_current_span

from telemetry.series_key import GENERATION, SECONDS, VALUE, Kind, Merge, SeriesKey
from telemetry.shared_state import Entry, WorkerState

_OVERFLOW: Final[dict[str, Any]] = {"otel.metric.overflow": True}  # the name that the SDK specification gives it
KINDS: Final[tuple[tuple[type, Kind], ...]] = (
    (Counter, "counter"),
    (UpDownCounter, "updowncounter"),
    (Histogram, "histogram"),
    (_Gauge, "gauge"),
)


class _Stored(_Aggregation[Any]):
    """One series of a synchronous instrument, kept in the slot file."""

    def __init__(self, attributes: Any, entry: Entry, generation: int) -> None:
        super().__init__(attributes, _no_reservoir)
        self._entry = entry
        self._generation = float(generation)

    def collect(self, *_: object, **__: object) -> None:
        """Nothing to collect: the value is where the scrape reads it."""


def _no_reservoir(*_: object, **__: object) -> Any:
    return None


class _StoredCounter(_Stored):
    def aggregate(self, measurement: Measurement, should_sample_exemplar: bool = True) -> None:
        entry = self._entry
        with entry.lock:
            entry.values[VALUE] += measurement.value
            if should_sample_exemplar:
                _offer(entry, 0, measurement)


class _StoredHistogram(_Stored):
    def __init__(self, attributes: Any, entry: Entry, generation: int, bounds: tuple[float, ...]) -> None:
        super().__init__(attributes, entry, generation)
        self._bounds = bounds
        self._sum_at = len(bounds) + 1

    def aggregate(self, measurement: Measurement, should_sample_exemplar: bool = True) -> None:
        entry, value = self._entry, measurement.value
        bucket = bisect_left(self._bounds, value)
        with entry.lock:
            values = entry.values
            values[bucket] += 1.0
            values[self._sum_at] += value
            if should_sample_exemplar:
                _offer(entry, bucket, measurement)


class _StoredUpDownCounter(_Stored):
    def aggregate(self, measurement: Measurement, should_sample_exemplar: bool = True) -> None:  # noqa: ARG002
        entry = self._entry
        with entry.lock:
            values = entry.values
            if values[GENERATION] == self._generation:
                values[VALUE] += measurement.value
            else:  # what a former owner left does not count; the owner's mark comes last
                values[VALUE] = measurement.value
                values[GENERATION] = self._generation


class _StoredGauge(_Stored):
    def aggregate(self, measurement: Measurement, should_sample_exemplar: bool = True) -> None:  # noqa: ARG002
        entry = self._entry
        with entry.lock:
            values = entry.values
            values[VALUE] = measurement.value
            values[SECONDS] = measurement.time_unix_nano / 1e9
            values[GENERATION] = self._generation


class _Discarded(_Stored):
    def __init__(self, attributes: Any) -> None:
        super().__init__(attributes, cast("Entry", None), 0)

    def aggregate(self, measurement: Measurement, should_sample_exemplar: bool = True) -> None:
        pass


def _offer(entry: Entry, bucket: int, measurement: Measurement) -> None:
    trace_id, span_id, _, flags, _, is_valid = get_current_span(measurement.context).get_span_context()
    if is_valid and flags & TraceFlags.SAMPLED:
        entry.offer_exemplar(bucket, measurement.value, measurement.time_unix_nano / 1e9, trace_id, span_id)


class SharedAggregation(Aggregation):
    """Counts a synchronous instrument in a slot file; an observable one by the SDK's default aggregation."""

    def __init__(
        self,
        state: WorkerState,
        *,
        boundaries: Sequence[float] | None = None,
        merges: Mapping[str, Merge] | None = None,
    ) -> None:
        """``boundaries`` of histograms, by default the instrument's own advice; ``merges``: see the reader."""
        self._state = state
        self._boundaries = None if boundaries is None else _checked_boundaries(boundaries)
        self._merges = merges or {}

    def _create_aggregation(
        self,
        instrument: Any,
        attributes: Any,
        reservoir_factory: Callable[[type[_Aggregation[Any]]], Any],
        start_time_unix_nano: int,
    ) -> _Aggregation[Any]:
        observable: Any = instrument if isinstance(instrument, Asynchronous) else None
        if observable is not None:
            create = DefaultAggregation()._create_aggregation  # noqa: SLF001
            return create(observable, attributes, reservoir_factory, start_time_unix_nano)
        key = self._key(instrument, attributes or {})
        if attributes is None:  # the SDK's prototype of a view, which counts nothing
            return self._stored(key, None, cast("Entry", None))
        entry = self._state.entry(key)
        if entry is None:
            return self._overflow(key, attributes)
        if instrument in entry.claims:
            # Two views that keep the same series of an instrument would count every measurement twice.
            text = f"several views keep the same series of {instrument.name}: the first one counts"
            self._state.warn_once(instrument, text)
            return _Discarded(attributes)
        entry.claims.add(instrument)
        return self._stored(key, attributes, entry)

    def _key(self, instrument: Any, attributes: Mapping[str, Any]) -> SeriesKey:
        kind = next(kind for type_, kind in KINDS if isinstance(instrument, type_))
        bounds: tuple[float, ...] = ()
        if kind == "histogram":
            advised = instrument._advisory.explicit_bucket_boundaries  # noqa: SLF001
            bounds = self._boundaries or _checked_boundaries(advised or DEFAULT_BOUNDARIES)
        return SeriesKey(
            instrument.name,
            instrument.description or "",
            instrument.unit or "",
            kind,
            instrument.instrumentation_scope.name,
            bounds,
            self._merges.get(instrument.name, "max") if kind == "gauge" else "sum",
            attributes,
        )

    def _overflow(self, key: SeriesKey, attributes: Any) -> _Aggregation[Any]:
        # The sums stay right although the attributes are lost. A gauge of many series together would mean nothing.
        if key.kind != "gauge":
            shared = SeriesKey(
                key.name, key.description, key.unit, key.kind, key.origin, key.bounds, key.merge, _OVERFLOW
            )
            entry = self._state.entry(shared, above_limit=True)
            if entry is not None:
                return self._stored(shared, attributes, entry)
        return _Discarded(attributes)

    def _stored(self, key: SeriesKey, attributes: Any, entry: Entry) -> _Aggregation[Any]:
        generation = self._state.generation
        if key.kind == "histogram":
            return _StoredHistogram(attributes, entry, generation, key.bounds)
        if key.kind == "counter":
            return _StoredCounter(attributes, entry, generation)
        if key.kind == "updowncounter":
            return _StoredUpDownCounter(attributes, entry, generation)
        return _StoredGauge(attributes, entry, generation)


def _checked_boundaries(boundaries: Sequence[float]) -> tuple[float, ...]:
    checked = tuple(map(float, boundaries))
    if list(checked) != sorted(set(checked)) or any(abs(bound) == float("inf") for bound in checked):
        raise ValueError(f"histogram boundaries are {boundaries!r}; accepted: finite numbers, strictly increasing")
    return checked
