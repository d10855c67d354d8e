"""User code's instruments: those of the API, whose measurements become records.

`observe` calls the callbacks of observable instruments. It runs after a request when an interval is over, and before a
scrape: no thread is needed, and an idle process has nothing new to report. In a process that serves no requests it runs
after a task, at the end, and otherwise in a thread when an interval is over.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from math import inf, isfinite
from numbers import Integral
from os import getpid
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    Observation,
    UpDownCounter,
)

from telemetry.journal.records import MEASUREMENT, OBSERVATIONS, Instrument, plain, plain_attributes
from telemetry.recording.journal import journal

logger = logging.getLogger(__name__)

Attributes = Mapping[str, Any] | None
Callbacks = (
    Sequence[
        Callable[[CallbackOptions], Iterable[Observation]] | Generator[Iterable[Observation], CallbackOptions, None]
    ]
    | None
)
# A larger sum of ints and floats might be no float.
_WHOLE = 1 << 63


def _number(value: Any) -> float:
    """Return a measured value, such as a Decimal or one of NumPy's, as an int of 64 bits or a float."""
    if type(value) is float:
        return value
    return int(value) if isinstance(value, Integral) and -_WHOLE <= int(value) < _WHOLE else float(value)


def _text(value: Any) -> str:
    """Return what describes an instrument or a meter, which may be a lazy text or a number, as a text."""
    return "" if value is None else str(plain(value))


def _limits(boundaries: Any, name: str) -> tuple[float, ...] | None:
    """Return the upper limits of a histogram's buckets, ascending; None for the default ones."""
    if boundaries is None:
        return None
    try:
        return tuple(sorted({limit for limit in map(float, boundaries) if isfinite(limit)}))
    except Exception as error:  # noqa: BLE001  (user code creates its instruments in its requests)
        logger.warning("histogram %s gets the default buckets: its limits are no numbers (%s)", name, error)
        return None


class _Recording:
    """The base of the synchronous instruments."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def _record(self, value: float, attributes: Attributes, context: Context | None, least: float = -inf) -> None:
        if journal.ring is None and not journal.records():
            return
        try:
            if not isfinite(value) or value < least:
                return
            value = _number(value)
            span = trace.get_current_span(context).get_span_context()
            ids = (span.trace_id.to_bytes(16), span.span_id.to_bytes(8)) if span.is_valid else (None, None)
            given = plain_attributes(attributes)
            sampled = span.trace_flags.sampled
            journal.write((MEASUREMENT, self._instrument, value, given, time_ns(), *ids, sampled, getpid()))
        except Exception as error:  # noqa: BLE001  (the caller goes on as if telemetry were off)
            journal.failed("measurement", error)


class _Counter(_Recording, Counter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        self._record(amount, attributes, context, least=0)


class _UpDownCounter(_Recording, UpDownCounter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        self._record(amount, attributes, context)


class _Histogram(_Recording, Histogram):
    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        self._record(amount, attributes, context, least=0)


class _Gauge(_Recording):
    # The API has a gauge, but no public name for it.
    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Record the current value."""
        self._record(amount, attributes, context)


class _Observable:
    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._callbacks: list[Any] = []

    def add(self, callbacks: Callbacks) -> None:
        """Call these, too, each once."""
        for callback in callbacks or ():
            if callback not in self._callbacks:
                if isinstance(callback, Generator):
                    next(callback)  # to its first `yield`, which takes the options
                self._callbacks.append(callback)

    def observed(self) -> tuple[tuple[float, dict[str, Any]], ...]:
        """Return the callbacks' observations; an exception in one of them loses only its own values."""
        values: list[tuple[float, dict[str, Any]]] = []
        for callback in tuple(self._callbacks):
            try:
                if isinstance(callback, Generator):
                    observations = callback.send(CallbackOptions())
                else:
                    observations = callback(CallbackOptions())
                values += [
                    (_number(each.value), plain_attributes(each.attributes))
                    for each in observations
                    if isfinite(each.value)
                ]
            except Exception as error:  # noqa: BLE001
                journal.failed(f"observation of {self.instrument[1]}", error)
        return tuple(values)


class _ObservableCounter(_Observable, ObservableCounter):
    pass


class _ObservableUpDownCounter(_Observable, ObservableUpDownCounter):
    pass


class _ObservableGauge(_Observable, ObservableGauge):
    pass


class RecordingMeter(Meter):
    """A meter whose instruments write records."""

    def __init__(self, name: str, version: str | None, schema_url: str | None, observables: list[_Observable]) -> None:
        super().__init__(name, version, schema_url)
        self._observables = observables
        self._made: dict[tuple[str, str, str], Any] = {}

    def _make(self, kind: str, make: Callable[[Instrument], Any], *described: Any) -> Any:
        """Return the instrument of this name and unit, created once."""
        name, unit, description = map(_text, described[:3])
        identity = name.lower(), kind, unit
        if (found := self._made.get(identity)) is not None:
            return found
        scope = self.name, self.version or "", self.schema_url or ""
        made = make((kind, name, unit, description, *scope, _limits(described[3], name)))
        # Without a lock, which a finalizer that creates instruments would wait for in the same thread.
        found = self._made.setdefault(identity, made)
        if found is made and any(other[0] == identity[0] and other != identity for other in list(self._made)):
            text = "metric %s of %s exists with another kind or unit: it is exported as a metric of its own"
            logger.warning(text, name, self.name)
        return found

    def _observe(self, kind: str, make: Callable[[Instrument], Any], callbacks: Callbacks, *described: Any) -> Any:
        observable = self._make(kind, make, *described, None)
        observable.add(callbacks)
        if observable not in self._observables:
            self._observables.append(observable)
        return observable

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        made: Counter = self._make("counter", _Counter, name, unit, description, None)
        return made

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> UpDownCounter:
        made: UpDownCounter = self._make("updowncounter", _UpDownCounter, name, unit, description, None)
        return made

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Histogram:
        advised = explicit_bucket_boundaries_advisory
        made: Histogram = self._make("histogram", _Histogram, name, unit, description, advised)
        return made

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._make("gauge", _Gauge, name, unit, description, None)

    def create_observable_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> ObservableCounter:
        made: ObservableCounter = self._observe(
            "observable_counter", _ObservableCounter, callbacks, name, unit, description
        )
        return made

    def create_observable_up_down_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> ObservableUpDownCounter:
        made: ObservableUpDownCounter = self._observe(
            "observable_updowncounter", _ObservableUpDownCounter, callbacks, name, unit, description
        )
        return made

    def create_observable_gauge(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> ObservableGauge:
        made: ObservableGauge = self._observe("observable_gauge", _ObservableGauge, callbacks, name, unit, description)
        return made


class RecordingMeterProvider(MeterProvider):
    """The provider of meters whose instruments write records."""

    def __init__(self) -> None:
        self._observables: list[_Observable] = []
        self._meters: dict[tuple[str, str, str], RecordingMeter] = {}

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,  # noqa: ARG002  (of the scope; no metric exporter here sends them)
    ) -> Meter:
        key = _text(name), _text(version), _text(schema_url)
        return self._meters.get(key) or self._meters.setdefault(key, RecordingMeter(*key, self._observables))

    def observe(self) -> None:
        """Write the observations of all observable instruments as one record."""
        if journal.ring is not None:
            observed = tuple((each.instrument, each.observed()) for each in list(self._observables))
            if observed:
                journal.write((OBSERVATIONS, time_ns(), observed, getpid()))
