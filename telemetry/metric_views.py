"""The SDK's views: which buckets a histogram has, and which attributes a metric may carry."""

from collections.abc import Callable, Sequence

from opentelemetry.sdk.metrics.view import Aggregation, View

# Both are recorded in seconds but come with the SDK's default buckets, which are made for milliseconds.
_QUERY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HTTP_ATTRIBUTES = {"http.request.method", "http.response.status_code", "http.route", "error.type"}


def build_views(histogram: Callable[[Sequence[float]], Aggregation]) -> list[View]:
    """Return the views; `histogram` makes the aggregation for given bucket boundaries (seconds)."""
    return [
        View(instrument_name="http.server.request.duration", attribute_keys=_HTTP_ATTRIBUTES),
        View(instrument_name="http.server.active_requests", attribute_keys={"http.request.method"}),
        View(
            instrument_name="db.client.operation.duration",
            aggregation=histogram(_QUERY_SECONDS),
            attribute_keys={"db.system.name", "db.operation.name", "error.type"},
        ),
        View(instrument_name="otel.sdk.*.duration", aggregation=histogram(_QUERY_SECONDS)),
    ]
