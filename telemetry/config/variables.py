"""All environment variables of telemetry, in the order of the documents.

The standard variables have their standard meaning (https://opentelemetry.io/docs/specs/otel/configuration/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/); `help` notes where a default is ours.
"""

from dataclasses import dataclass, fields
from typing import Any, get_args

from telemetry.config.endpoint import Endpoint, EndpointParser
from telemetry.config.exporters import EXPORTERS
from telemetry.config.instrumentations import Instrumentations
from telemetry.config.limits import LIMITS
from telemetry.config.lists import Attributes, Headers, Names
from telemetry.config.patterns import Patterns, UrlPatterns
from telemetry.config.reader import Variable
from telemetry.config.sizes import Bytes, Folder
from telemetry.config.values import (
    Compression,
    Decimal,
    ExemplarFilter,
    ExporterPlace,
    Fixed,
    IncomingContext,
    Instrumentation,
    LenientSwitch,
    LogLevel,
    Milliseconds,
    Mode,
    OneOf,
    Pairs,
    Privacy,
    Protocol,
    ReadableFile,
    Secret,
    Switch,
    Text,
    WholeNumber,
)

_SHORT_TIME = 100  # milliseconds; a smaller value was probably meant in seconds
_LARGEST_QUEUE = 1_000_000
_DELAY = "1000"  # milliseconds
_DURATION = Milliseconds(doubt_below=_SHORT_TIME)
_FILE = ReadableFile()
MEMORY_SPOOL_BYTES = 16 << 20
DISK_SPOOL_BYTES = 512 << 20

MODE: Variable[Mode] = Variable(
    "TELEMETRY_MODE",
    "mode",
    OneOf[Mode](get_args(Mode)),
    "collector",
    "Where telemetry goes: to a collector, directly to the backends (and `/metrics`), or nowhere.",
)
SDK_DISABLED = Variable(
    "OTEL_SDK_DISABLED", "mode", LenientSwitch(), "false", "`true` means `TELEMETRY_MODE=off`, and takes precedence."
)
CONFIG_FILE: Variable[str | None] = Variable(
    "OTEL_CONFIG_FILE",
    "config_file",
    _FILE,
    None,
    "A file of OpenTelemetry's [declarative configuration](#a-file-instead-of-variables), which replaces the standard "
    "variables.",
)

ENDPOINT: Variable[Endpoint | None] = Variable(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "{signal}.endpoint",
    EndpointParser(),
    None,
    "The receiver. Without a scheme it is plaintext. HTTP: `/v1/<signal>` is appended to it, while the form for one "
    "signal is used as is. Without a port: 4317 for gRPC (`https://`: 443).",
    "`http://localhost:4317`, or `http://localhost:4318` for HTTP",
)
PROTOCOL: Variable[Protocol | None] = Variable(
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "{signal}.protocol",
    OneOf[Protocol](get_args(Protocol)),
    None,
    "The transport of OTLP.",
    "`http/protobuf` if the endpoint has port 4318 or a path, else `grpc`",
)
HEADERS: Variable[Pairs] = Variable(
    "OTEL_EXPORTER_OTLP_HEADERS",
    "{signal}.headers",
    Headers(),
    "",
    "Headers of each export, such as `authorization=Bearer abc`. Values are secrets and never shown.",
)
TIMEOUT = Variable(
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "{signal}.timeout",
    _DURATION,
    "10000",
    "How long one request may take, including its answer; what was not accepted is sent again.",
)
COMPRESSION: Variable[Compression] = Variable(
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "{signal}.compression",
    OneOf[Compression](get_args(Compression)),
    "none",
    "Compression of each export.",
)
INSECURE: Variable[bool | None] = Variable(
    "OTEL_EXPORTER_OTLP_INSECURE",
    "{signal}.insecure",
    Switch(),
    None,
    "Whether an endpoint without a scheme is plaintext; a scheme takes precedence.",
    "`true`",
)
CERTIFICATE: Variable[str | None] = Variable(
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "{signal}.certificate",
    _FILE,
    None,
    "Certificates (PEM) of the authorities that the receiver's certificate is checked against.",
    "the system's",
)
CLIENT_KEY: Variable[str | None] = Variable(
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "{signal}.client_key",
    _FILE,
    None,
    "Private key (PEM) for mutual TLS; requires the client certificate.",
)
CLIENT_CERTIFICATE: Variable[str | None] = Variable(
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "{signal}.client_certificate",
    _FILE,
    None,
    "Certificate (PEM) for mutual TLS; requires the client key.",
)

SERVICE_NAME = Variable(
    "OTEL_SERVICE_NAME",
    "service_name",
    Text(),
    "unknown_service",
    "`service.name` of everything sent.",
    "`service.name` in `OTEL_RESOURCE_ATTRIBUTES`, else `TELEMETRY['SERVICE_NAME']`, else the settings' package",
)
RESOURCE_ATTRIBUTES: Variable[Pairs] = Variable(
    "OTEL_RESOURCE_ATTRIBUTES",
    "resource_attributes",
    Attributes(),
    "",
    "Further resource attributes, such as `deployment.environment.name=production`.",
)
PROPAGATORS = Variable(
    "OTEL_PROPAGATORS",
    "propagators",
    Names(("tracecontext", "baggage")),
    "tracecontext",
    "Which context is read from requests. Our default: the specification's also reads baggage, from anyone.",
)
INCOMING_CONTEXT: Variable[IncomingContext] = Variable(
    "TELEMETRY_INCOMING_CONTEXT",
    "incoming_context",
    OneOf[IncomingContext](get_args(IncomingContext)),
    "trust",
    "How a client's trace context is used: `trust` makes its span the parent, including its sampling; `link` starts a "
    "new trace with a link to it; `ignore` reads nothing. At a public edge: `link` or `ignore`.",
)

_RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")
SAMPLER = Variable(
    "OTEL_TRACES_SAMPLER",
    "sampler",
    OneOf[str](("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *_RATIO_SAMPLERS)),
    "parentbased_always_on",
    "Which traces are recorded.",
)
SAMPLER_ARG = Variable(
    "OTEL_TRACES_SAMPLER_ARG",
    "sampler_arg",
    Decimal(maximum=1),
    "1.0",
    "The share of traces recorded by the samplers whose name ends in `traceidratio`.",
)


def takes_ratio(sampler: str) -> bool:
    """Return whether `sampler` reads OTEL_TRACES_SAMPLER_ARG."""
    return sampler in _RATIO_SAMPLERS


@dataclass(frozen=True)
class BatchVariables:
    """The four variables of a batch processor."""

    schedule_delay: Variable[float]
    max_queue_size: Variable[int | None]
    max_export_batch_size: Variable[int]
    export_timeout: Variable[float | None]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of these variables."""
        return tuple(getattr(self, each.name).name for each in fields(self))


def _batch_variables(prefix: str, field: str, what: str, specified: str) -> BatchVariables:
    remark = "" if specified == _DELAY else f" Our default: the specification's is {specified}."
    size = WholeNumber(_LARGEST_QUEUE)
    queue = f"{prefix}_MAX_QUEUE_SIZE"
    return BatchVariables(
        Variable(
            f"{prefix}_SCHEDULE_DELAY",
            f"{field}.schedule_delay",
            Milliseconds(),
            _DELAY,
            f"How long {what} wait for a batch at most.{remark}",
        ),
        Variable(
            queue,
            f"{field}.max_queue_size",
            size,
            None,
            f"How many {what} may wait; the oldest are dropped. If unset, only `TELEMETRY_SPOOL_BYTES` limits them.",
        ),
        Variable(
            f"{prefix}_MAX_EXPORT_BATCH_SIZE",
            f"{field}.max_export_batch_size",
            size,
            "512",
            f"How many {what} are sent at once; no more than the queue holds.",
            f"`512`, or `{queue}` if that is less",
        ),
        Variable(
            f"{prefix}_EXPORT_TIMEOUT",
            f"{field}.export_timeout",
            _DURATION,
            None,
            f"How long one request with {what} may take, if that is less than `OTEL_EXPORTER_OTLP_TIMEOUT`.",
        ),
    )


SPAN_BATCH = _batch_variables("OTEL_BSP", "span_batch", "spans", "5000")
LOG_BATCH = _batch_variables("OTEL_BLRP", "log_batch", "log records", "1000")

METRIC_EXPORT_INTERVAL = Variable(
    "OTEL_METRIC_EXPORT_INTERVAL",
    "metric_export_interval",
    _DURATION,
    "15000",
    "How often metrics are pushed. Our default: with the specification's 60000 Prometheus can miss a worker's restart.",
)
METRIC_EXPORT_TIMEOUT: Variable[float | None] = Variable(
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "metric_export_timeout",
    _DURATION,
    None,
    "The same for a push of metrics; no longer than the interval.",
)
EXEMPLAR_FILTER: Variable[ExemplarFilter] = Variable(
    "OTEL_METRICS_EXEMPLAR_FILTER",
    "exemplar_filter",
    OneOf[ExemplarFilter](get_args(ExemplarFilter)),
    "trace_based",
    "Which measurements may become exemplars.",
)
TEMPORALITY = Variable(
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "metric_temporality",
    Fixed(
        "cumulative",
        ("delta", "lowmemory"),
        "would lose counts with every push that fails permanently, and leave nothing to scrape",
    ),
    "cumulative",
    "What a pushed count means: the total so far. A collector can convert it for a backend that needs deltas "
    "(`cumulativetodelta`).",
)
HISTOGRAMS = Variable(
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "metric_histograms",
    Fixed(
        "explicit_bucket_histogram",
        ("base2_exponential_bucket_histogram",),
        "is not supported: both modes have the same buckets",
    ),
    "explicit_bucket_histogram",
    "How durations and sizes are aggregated.",
)
EXCLUDED_URLS: Variable[tuple[str, ...]] = Variable(
    "OTEL_PYTHON_DJANGO_EXCLUDED_URLS",
    "excluded_urls",
    UrlPatterns(),
    None,
    "Requests without a span or a measurement: those whose URL (scheme, host and path) matches an expression anywhere. "
    "Their log records and queries are still recorded.",
    "`OTEL_PYTHON_EXCLUDED_URLS`",
)
EXCLUDED_URLS_OF_ALL: Variable[tuple[str, ...]] = Variable(
    "OTEL_PYTHON_EXCLUDED_URLS",
    "excluded_urls",
    UrlPatterns(),
    "",
    "The same for requests, and for outgoing calls of the instrumentations in `TELEMETRY_INSTRUMENT`.",
)
INSTRUMENTATION: Variable[Instrumentation] = Variable(
    "TELEMETRY_INSTRUMENTATION",
    "instrumentation",
    OneOf[Instrumentation](get_args(Instrumentation)),
    "native",
    "What records requests and queries: `native` is telemetry itself, `contrib` OpenTelemetry's unmodified "
    "instrumentations of Django and the driver, with [their cost and their differences](#native-or-contrib).",
)
INSTRUMENT: Variable[tuple[str, ...]] = Variable(
    "TELEMETRY_INSTRUMENT",
    "instrument",
    Instrumentations(),
    "none",
    "What else is traced and counted, by the packages `opentelemetry-instrumentation-...` with these names: outgoing "
    "calls, caches, queues. They propagate the trace, and read their own variables.",
)
RESPONSE_HEADERS = Variable(
    "TELEMETRY_RESPONSE_HEADERS",
    "response_headers",
    Names(("traceresponse", "server-timing", "x-request-id")),
    "none",
    "Headers of each response: its trace (W3C's `traceresponse`, or `Server-Timing`, which browsers expose to scripts) "
    "and `X-Request-ID`: the client's, up to 128 characters, else trace and span; the span has it, too.",
)
VIEW_NAMES = Variable(
    "TELEMETRY_VIEW_NAMES",
    "view_names",
    Switch(),
    "false",
    "Whether a request's span names the function that answered it (`code.function.name`).",
)
FIXED_CONVENTIONS = "OTEL_SEMCONV_STABILITY_OPT_IN", "http,database"
"""The setting of contrib's instrumentations: the stable conventions."""

LOG_LEVEL: Variable[LogLevel] = Variable(
    "OTEL_LOG_LEVEL",
    "log_level",
    OneOf[LogLevel](get_args(LogLevel), {"warn": "warning"}),
    "info",
    "Level of telemetry's own messages; `debug` logs each export.",
)
FLUSH_TIMEOUT = Variable(
    "TELEMETRY_FLUSH_TIMEOUT",
    "flush_timeout",
    Decimal(maximum=60, above_minimum=True, unit=" of seconds"),
    "5",
    "How long the service may take when it stops to deliver what is still waiting.",
)
JOURNAL_BYTES = Variable(
    "TELEMETRY_JOURNAL_BYTES",
    "journal_bytes",
    Bytes(64 << 10, 1 << 30),
    "4MiB",
    "Shared memory for what each worker has recorded and the exporter has not read yet; what does not fit is dropped.",
)
SPOOL_DIR: Variable[str | None] = Variable(
    "TELEMETRY_SPOOL_DIR",
    "spool_dir",
    Folder(),
    None,
    "Where batches wait for their backend on disk: they outlive the service, and an outage may last for hours.",
    "in shared memory",
)
SPOOL_BYTES: Variable[int | None] = Variable(
    "TELEMETRY_SPOOL_BYTES",
    "spool_bytes",
    Bytes(2 << 20, 1024 << 30),
    None,
    "Space for the waiting batches of each signal; the oldest are dropped.",
    f"`{MEMORY_SPOOL_BYTES >> 20}MiB`, or `{DISK_SPOOL_BYTES >> 20}MiB` with `TELEMETRY_SPOOL_DIR`",
)
EXPORTER: Variable[ExporterPlace] = Variable(
    "TELEMETRY_EXPORTER",
    "exporter",
    OneOf[ExporterPlace](get_args(ExporterPlace)),
    "process",
    "What exports: a separate process, or a thread in one of the service's, for places where no other can be started.",
)
METRICS_TOKEN: Variable[str | None] = Variable(
    "METRICS_TOKEN",
    "metrics_token",
    Secret(),
    None,
    "Bearer token that `/metrics` requires. A secret, never shown.",
    "open to all",
    trimmed=False,
)
PRIVACY: Variable[Privacy] = Variable(
    "TELEMETRY_PRIVACY",
    "privacy",
    OneOf[Privacy](get_args(Privacy)),
    "redact",
    "What may be exported: `redact` hides what looks like a secret, `strict` exports [nothing that may be "
    "data](privacy.md#strict).",
)
REDACT = Variable(
    "TELEMETRY_REDACT",
    "redact",
    Patterns(),
    "",
    "What else must not be exported, at both levels of TELEMETRY_PRIVACY; each match becomes `***`.",
    "only [what is always removed](privacy.md)",
)

VARIABLES: tuple[Variable[Any], ...] = (
    MODE,
    SDK_DISABLED,
    CONFIG_FILE,
    EXPORTER,
    FLUSH_TIMEOUT,
    JOURNAL_BYTES,
    SPOOL_DIR,
    SPOOL_BYTES,
    METRICS_TOKEN,
    PRIVACY,
    REDACT,
    LOG_LEVEL,
    SERVICE_NAME,
    RESOURCE_ATTRIBUTES,
    *EXPORTERS.values(),
    ENDPOINT,
    PROTOCOL,
    HEADERS,
    TIMEOUT,
    COMPRESSION,
    INSECURE,
    CERTIFICATE,
    CLIENT_KEY,
    CLIENT_CERTIFICATE,
    SAMPLER,
    SAMPLER_ARG,
    PROPAGATORS,
    INCOMING_CONTEXT,
    INSTRUMENTATION,
    INSTRUMENT,
    EXCLUDED_URLS,
    EXCLUDED_URLS_OF_ALL,
    RESPONSE_HEADERS,
    VIEW_NAMES,
    SPAN_BATCH.schedule_delay,
    SPAN_BATCH.max_queue_size,
    SPAN_BATCH.max_export_batch_size,
    SPAN_BATCH.export_timeout,
    LOG_BATCH.schedule_delay,
    LOG_BATCH.max_queue_size,
    LOG_BATCH.max_export_batch_size,
    LOG_BATCH.export_timeout,
    METRIC_EXPORT_INTERVAL,
    METRIC_EXPORT_TIMEOUT,
    EXEMPLAR_FILTER,
    TEMPORALITY,
    HISTOGRAMS,
    *LIMITS,
)
