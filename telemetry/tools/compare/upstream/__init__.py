"""Common set-ups without our telemetry, each configured as its own documentation says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

Signal = Literal["spans", "log records", "counter"]
HERE = "telemetry.tools.compare.upstream"


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence of the documentation that a set-up follows."""

    sentence: str
    url: str


@dataclass(frozen=True, slots=True)
class Upstream:
    """One set-up of the service without our telemetry.

    `signals` are those that it has; `gunicorn` is the module of its configuration, which includes the project's own;
    `application` and `settings` are modules that replace the project's own unless empty. `metrics_path` is where it is
    scraped, and `counts` the series whose sum is the number of requests counted, without those whose labels contain
    `ignored`. `sink` is where it sends to.
    """

    signals: frozenset[Signal]
    sources: tuple[Source, ...]
    gunicorn: str
    packages: tuple[str, ...]
    application: str = ""
    settings: str = ""
    metrics_path: str = ""
    counts: str = ""
    ignored: str = ""
    sink: Literal["otlp", "sentry", ""] = ""
    through_collector: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name in self.packages if not _is_installed(name))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of a parent package
        return False


_FORK = Source(
    "We can use fork hooks to get around this limitation of the span processor.",
    "https://opentelemetry-python.readthedocs.io/en/latest/examples/fork-process-model/README.html",
)
_OPT_IN = Source(
    "http - emit the new, stable HTTP and networking conventions",
    "https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/",
)
# As their documentation recommends: stable names, and excluded URLs that users do not request.
_CONTRIB_ENVIRONMENT = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "/livez$,/readyz$,/metrics$",
}
_DJANGO_PROMETHEUS = (
    "https://github.com/korfuri/django-prometheus#importing-django-prometheus-using-only-local-settings"
)

CONTRIB = Upstream(
    frozenset({"spans", "log records", "counter"}),
    (_FORK, _OPT_IN),
    f"{HERE}.contrib_gunicorn",
    (
        "opentelemetry.exporter.otlp.proto.grpc",
        "opentelemetry.instrumentation.django",
        "opentelemetry.instrumentation.logging",
        "opentelemetry.instrumentation.psycopg",
        "opentelemetry.instrumentation.sqlite3",
    ),
    sink="otlp",
    through_collector=True,
    environment=_CONTRIB_ENVIRONMENT,
)
CONTRIB_DIRECT = Upstream(
    frozenset({"spans", "log records", "counter"}),
    (
        _FORK,
        Source(
            "The OpenTelemetry Prometheus Exporter allows export of OpenTelemetry metrics to Prometheus.",
            "https://opentelemetry-python.readthedocs.io/en/latest/exporter/prometheus/prometheus.html",
        ),
        Source(
            "To use Prometheus with WSGI, there is make_wsgi_app which creates a WSGI application.",
            "https://prometheus.github.io/client_python/exporting/http/wsgi/",
        ),
    ),
    f"{HERE}.contrib_direct_gunicorn",
    (*CONTRIB.packages, "opentelemetry.exporter.prometheus"),
    application=f"{HERE}.metrics_wsgi",
    metrics_path="/metrics",
    counts="http_server_request_duration_seconds_count",
    sink="otlp",
    environment=_CONTRIB_ENVIRONMENT,
)
DJANGO_PROMETHEUS = Upstream(
    frozenset({"counter"}),
    (
        Source(
            "First step is to inject prometheus' middlewares and to add django_prometheus in INSTALLED_APPS",
            _DJANGO_PROMETHEUS,
        ),
        Source(
            "The PROMETHEUS_MULTIPROC_DIR environment variable must be set to a directory that the client library can "
            "use for metrics.",
            "https://prometheus.github.io/client_python/multiprocess/",
        ),
    ),
    f"{HERE}.django_prometheus_gunicorn",
    ("django_prometheus",),
    settings=f"{HERE}.django_prometheus_settings",
    metrics_path="/prometheus/metrics",
    counts="django_http_requests_total_by_view_transport_method_total",
    ignored='view="prometheus-django-metrics"',
)
SENTRY = Upstream(
    frozenset({"spans", "log records"}),
    (
        Source(
            "To configure the Sentry SDK, initialize it in your settings.py file",
            "https://docs.sentry.io/platforms/python/integrations/django/",
        ),
    ),
    f"{HERE}.project_gunicorn",
    ("sentry_sdk",),
    settings=f"{HERE}.sentry_settings",
    sink="sentry",
)
