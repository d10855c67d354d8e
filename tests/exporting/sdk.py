"""The same measurements by the SDK and by the exporter's aggregation, in one form that can be compared."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, MetricsData, Sum
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.otlp_metrics import collect
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import Instrument

LISTED = ("kind", "other")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# The SDK's default buckets for this one are replaced by a view.
IN_SECONDS = "db.client.operation.duration"

Points = list[tuple[float, Mapping[str, Any]]]


def instrument(kind: str, name: str, bounds: tuple[float, ...] | None = None) -> Instrument:
    return (kind, name, "{thing}", f"About {name}.", "shop", "1.2", "https://schema.example/1", bounds)


SYNCHRONOUS = [
    instrument("counter", "orders"),
    instrument("updowncounter", "carts"),
    instrument("gauge", "temperature"),
    instrument("histogram", "price"),
    instrument("histogram", "weight", (1.0, 2.0, 100.0)),
    instrument("histogram", "count.only", ()),
    instrument("histogram", IN_SECONDS),
]
OBSERVABLE = [
    instrument("observable_counter", "cpu"),
    instrument("observable_updowncounter", "memory"),
    instrument("observable_gauge", "load"),
]


class Measurement(NamedTuple):
    instrument: Instrument
    value: float
    attributes: Mapping[str, Any]


def views() -> Views:
    return Views({each[1]: LISTED for each in (*SYNCHRONOUS, *OBSERVABLE)})


class BothWays:
    """Gives what is measured to both."""

    def __init__(self, aggregation: Aggregation | None = None) -> None:
        self.aggregation = aggregation or Aggregation(views(), exemplars="always_off")
        self._reader = InMemoryMetricReader()
        sdk_views = [
            View(
                instrument_name=each[1],
                attribute_keys=set(LISTED),
                aggregation=ExplicitBucketHistogramAggregation(SECONDS) if each[1] == IN_SECONDS else None,
            )
            for each in (*SYNCHRONOUS, *OBSERVABLE)
        ]
        self._provider = MeterProvider(
            [self._reader], views=sdk_views, shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter()
        )
        self._observed: dict[str, Points] = {}
        meter = self._provider.get_meter("shop", "1.2", "https://schema.example/1")
        make: dict[str, Any] = {
            "counter": meter.create_counter,
            "updowncounter": meter.create_up_down_counter,
            "gauge": meter.create_gauge,
            "histogram": meter.create_histogram,
            "observable_counter": meter.create_observable_counter,
            "observable_updowncounter": meter.create_observable_up_down_counter,
            "observable_gauge": meter.create_observable_gauge,
        }
        self._sdk: dict[str, Any] = {}
        for kind, name, unit, description, _scope, _version, _schema, bounds in (*SYNCHRONOUS, *OBSERVABLE):
            given: dict[str, Any] = {"unit": unit, "description": description}
            if kind.startswith("observable"):
                given["callbacks"] = [self._callback(name)]
            if bounds is not None:
                given["explicit_bucket_boundaries_advisory"] = bounds
            self._sdk[name] = make[kind](name, **given)

    def _callback(self, name: str) -> Any:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, attributes) for value, attributes in self._observed.get(name, [])]

        return observe

    def record(self, measurements: Iterable[Measurement]) -> None:
        for measured, value, attributes in measurements:
            self.aggregation.record(measured, value, attributes, 1, source="worker")
            sdk = self._sdk[measured[1]]
            method = {"histogram": "record", "gauge": "set"}.get(measured[0], "add")
            getattr(sdk, method)(value, attributes)

    def observe(self, observed: Instrument, points: Points) -> None:
        """Make the points what a process observes from now on."""
        self._observed[observed[1]] = points
        self.aggregation.observe(observed, "worker", points)

    def ours(self) -> dict[Any, Any]:
        data, points = collect(self.aggregation, {})
        found = compared(data)
        assert points == len(found)
        return found

    def theirs(self) -> dict[Any, Any]:
        data = self._reader.get_metrics_data()
        return compared(data) if data else {}

    def close(self) -> None:
        self._provider.shutdown()


def compared(data: MetricsData) -> dict[Any, Any]:
    """Return all points by scope, metric and attributes, without times."""
    found: dict[Any, Any] = {}
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.data
                described: tuple[Any, ...] = (type(kind).__name__, metric.unit, metric.description)
                if isinstance(kind, Sum):
                    described += kind.aggregation_temporality, kind.is_monotonic
                elif isinstance(kind, Histogram):
                    described += (kind.aggregation_temporality,)
                for point in kind.data_points:
                    assert point.time_unix_nano > 0
                    key = (
                        scope.scope.name,
                        scope.scope.version,
                        scope.scope.schema_url,
                        metric.name,
                        attributes_of(point),
                    )
                    assert key not in found
                    found[key] = described, type(point).__name__, values_of(point)
    return found


def attributes_of(point: Any) -> tuple[tuple[str, str], ...]:
    """Return attributes with the types of their values: 1, 1.0 and True are other attributes."""
    listed = ((name, list(value) if isinstance(value, tuple) else value) for name, value in point.attributes.items())
    return tuple(sorted((name, repr(value)) for name, value in listed))


def values_of(point: Any) -> tuple[Any, ...]:
    if hasattr(point, "bucket_counts"):
        return point.count, point.sum, tuple(point.bucket_counts), tuple(point.explicit_bounds), point.min, point.max
    return (point.value, type(point.value), point.start_time_unix_nano is None)
