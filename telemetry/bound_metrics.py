"""Series of synchronous instruments that are looked up once and then recorded to without a detour.

For each measurement the SDK validates and copies the attributes, matches the views, filters the attributes again, and
makes a key of what is left: most of what a metric costs a request. Producers that record the same few series over and
over keep a `BoundMetric` for each.
"""

from collections.abc import Callable, Hashable, Mapping
from threading import Lock
from time import time_ns
from typing import Any
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter
from opentelemetry.sdk.metrics._internal._view_instrument_match import (  # nothing public finds a series
    _hash_attributes,
)

_MOST_SERIES = 2048
# Not empty: the SDK takes the current context for an empty one.
_NOWHERE = trace.set_span_in_context(trace.INVALID_SPAN, Context())


class _Measurement:
    """What an aggregation reads of the SDK's `Measurement`."""

    __slots__ = ("attributes", "context", "time_unix_nano", "value")

    def __init__(self, value: float, context: Context, attributes: Mapping[str, Any]) -> None:
        self.value = value
        self.time_unix_nano = time_ns()
        self.context = context
        self.attributes = attributes


_ONE = _Measurement(1, _NOWHERE, {})


class BoundMetric:
    """One series of an instrument: the measurements with `attributes`, which must not change."""

    __slots__ = ("_aggregations", "_attributes", "_consumer", "_instrument", "_offer", "_storages")

    def __init__(self, instrument: Any, attributes: Mapping[str, Any]) -> None:
        """`instrument` is a counter, an up-down counter or a histogram of the API, with or without a provider."""
        self._instrument = instrument
        self._attributes = attributes
        self._aggregations: tuple[Any, ...] = ()
        self._consumer: Any = None
        self._storages: Any = None
        self._offer: bool | None = None

    def record(self, value: float, context: Context, *, sampled: bool) -> None:
        """Add or record `value`, which is finite, and not negative but for up-down counters.

        `context` leads an exemplar to a span, `sampled` is whether that is sampled.
        """
        consumer = self._consumer
        # The SDK replaces its storages where a reader comes or goes.
        if consumer is None or consumer._reader_storages is not self._storages:  # noqa: SLF001
            self._record_first(value, context)
            return
        measurement = _Measurement(value, context, self._attributes)
        offer = sampled if self._offer is None else self._offer
        for aggregation in self._aggregations:
            aggregation.aggregate(measurement, offer)

    def count(self) -> None:
        """Count one more. It leads to no trace."""
        consumer = self._consumer
        if consumer is None or consumer._reader_storages is not self._storages or self._offer:  # noqa: SLF001
            self.record(1, _NOWHERE, sampled=False)
            return
        for aggregation in self._aggregations:
            aggregation.aggregate(_ONE, False)

    def _record_first(self, value: float, context: Context) -> None:
        """Let the SDK record, which makes the series, and remember where it keeps them."""
        instrument = getattr(self._instrument, "_real_instrument", None) or self._instrument
        record = instrument.record if hasattr(instrument, "record") else instrument.add
        record(value, self._attributes, context)
        consumer = getattr(instrument, "_measurement_consumer", None)
        if consumer is None:  # no provider yet, or another SDK
            return
        storages = consumer._reader_storages  # noqa: SLF001
        self._aggregations = tuple(
            match._attributes_aggregation[_hash_attributes(self._kept(match._view._attribute_keys))]  # noqa: SLF001
            for storage in storages.values()
            for match in storage._get_or_init_view_instrument_match(instrument)  # noqa: SLF001
        )
        exemplars = consumer._sdk_config.exemplar_filter  # noqa: SLF001
        if isinstance(exemplars, AlwaysOnExemplarFilter | AlwaysOffExemplarFilter):
            self._offer = isinstance(exemplars, AlwaysOnExemplarFilter)
        self._storages = storages
        self._consumer = consumer

    def _kept(self, keys: set[str] | None) -> dict[str, Any]:
        return {key: value for key, value in self._attributes.items() if keys is None or key in keys}


class BoundMetrics:
    """The series of one instrument that a producer records to, by what the producer knows them by."""

    def __init__(self, instrument: Any, attributes: Callable[..., Mapping[str, Any]]) -> None:
        """`attributes` makes those of a series from the key's parts."""
        self._instrument = instrument
        self._attributes = attributes
        self._series: dict[tuple[Hashable, ...], BoundMetric] = {}

    def of(self, *key: Hashable) -> BoundMetric:
        """Return the series of `key`."""
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= _MOST_SERIES:
                self._series.clear()
            series = self._series[key] = BoundMetric(self._instrument, self._attributes(*key))
        return series


class Level:
    """A series of an up-down counter that tells how many are `inside`; `settle_levels` brings it up to date.

    What comes and goes many times between two looks at it costs next to nothing.
    """

    def __init__(self, series: BoundMetric) -> None:
        self.inside: set[Hashable] = set()  # adding and discarding need no lock
        self._series = series
        self._told: int | None = None
        with _levels_lock:
            _levels.add(self)

    def settle(self) -> None:
        """Tell the change since the last time; the first time, that there is the series."""
        now = len(self.inside)
        if now != self._told:
            self._series.record(now - (self._told or 0), _NOWHERE, sampled=False)
            self._told = now


class Levels:
    """The levels of one instrument, by what the producer knows them by; of few kinds."""

    def __init__(self, instrument: Any, attributes: Callable[[str], Mapping[str, Any]]) -> None:
        self._series = BoundMetrics(instrument, attributes)
        self._levels: dict[str, Level] = {}

    def of(self, kind: str) -> Level:
        """Return the level of `kind`."""
        level = self._levels.get(kind)
        return level or self._levels.setdefault(kind, Level(self._series.of(kind)))


_levels: "WeakSet[Level]" = WeakSet()
_levels_lock = Lock()  # a set cannot be walked while it grows


def settle_levels() -> None:
    """Bring all levels up to date; called while metrics are collected, by one thread at a time."""
    with _levels_lock:
        levels = list(_levels)
    for level in levels:
        level.settle()
