"""The environment as one frozen `TelemetryConfig`: the only place where telemetry's variables are read.

`TelemetryConfig.from_env()` raises `ConfigError` for the first invalid value; `warnings` lists values that are valid
but probably not intended. `telemetry.config.variables` defines the variables.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Self

from telemetry.config import combined, variables
from telemetry.config.combined import BatchConfig
from telemetry.config.declarative import source_of
from telemetry.config.limits import LimitsConfig, read_limits
from telemetry.config.otlp import OTLPReader
from telemetry.config.reader import DEFAULT, Environment, derived_from
from telemetry.config.unused import unused
from telemetry.config.values import (
    MASK,
    SIGNALS,
    Compression,
    ConfigError,
    ExemplarFilter,
    Exporter,
    ExporterPlace,
    IncomingContext,
    Instrumentation,
    LogLevel,
    Mode,
    Pairs,
    Privacy,
    Protocol,
    Signal,
)

_IS_POSIX = hasattr(os, "fork")
_NOT_HERE = "nothing is recorded: that needs a POSIX system, such as Linux or macOS"
_OF_PROJECT = "TELEMETRY['SERVICE_NAME']", "the settings' package"
"""The sources of a service name from a project's settings, or from the settings' package."""

__all__ = ["BatchConfig", "ConfigError", "IncomingContext", "Mode", "Signal", "SignalConfig", "TelemetryConfig"]


def _representation(instance: Any, **masked: object) -> str:
    values = {each.name: getattr(instance, each.name) for each in fields(instance)} | masked
    return f"{type(instance).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


@dataclass(frozen=True, slots=True, repr=False)
class SignalConfig:
    """How one signal is exported. The values for OTLP are set with any exporter."""

    exporter: Exporter
    endpoint: str
    """gRPC: scheme://host:port. HTTP: the complete URL to post to."""
    protocol: Protocol
    headers: Pairs
    """Names in lower case, values decoded. The values are secrets: `repr` masks them."""
    timeout: float
    """Seconds for one request, including its response."""
    compression: Compression
    insecure: bool
    """Whether the connection is in plaintext."""
    certificate: str | None
    client_key: str | None
    client_certificate: str | None

    def __repr__(self) -> str:
        return _representation(self, headers=masked_headers(self.headers))


@dataclass(frozen=True, slots=True, repr=False)
class TelemetryConfig:
    """Telemetry's whole configuration from the environment. Times are in seconds."""

    mode: Mode
    config_file: str | None
    """OTEL_CONFIG_FILE, which then provides the values of this configuration."""
    service_name: str
    resource_attributes: Pairs
    """OTEL_RESOURCE_ATTRIBUTES without `service.name`, which is `service_name`."""
    traces: SignalConfig
    metrics: SignalConfig
    logs: SignalConfig
    span_batch: BatchConfig
    log_batch: BatchConfig
    metric_export_interval: float
    metric_export_timeout: float | None
    sampler: str
    sampler_arg: float | None
    """A ratio from 0 to 1; None for samplers without one."""
    propagators: tuple[str, ...]
    incoming_context: IncomingContext
    instrumentation: Instrumentation
    """Whether telemetry itself or contrib's instrumentations record requests and queries."""
    instrument: tuple[str, ...]
    """Names of the instrumentations of other packages to run."""
    excluded_urls: tuple[str, ...]
    """Regular expressions of the URLs whose requests are not recorded."""
    response_headers: tuple[str, ...]
    view_names: bool
    limits: LimitsConfig
    metric_temporality: str
    metric_histograms: str
    exemplar_filter: ExemplarFilter
    log_level: LogLevel
    """The level of telemetry's own log."""
    flush_timeout: float
    exporter: ExporterPlace
    journal_bytes: int
    """Of each worker."""
    spool_dir: str | None
    """None for shared memory."""
    spool_bytes: int
    """Of each signal."""
    metrics_token: str | None
    """A secret: `repr` masks it."""
    privacy: Privacy
    """The level of `telemetry.privacy`."""
    redact: tuple[str, ...]
    """Regular expressions of further texts to redact."""
    sources: Mapping[str, str] = field(hash=False)
    """The source of each value: "traces.endpoint" -> a variable, "default" or "derived from ..."."""
    warnings: tuple[str, ...]
    """One line for each value that is valid but probably not intended."""

    @property
    def records(self) -> bool:
        """Whether anything is recorded at all."""
        return _IS_POSIX and any(each.exporter != "none" for each in (self.traces, self.metrics, self.logs))

    @property
    def named(self) -> str:
        """The service's name if the environment sets one, else "": all that a server knows without its application."""
        return self.service_name if self.is_set("service_name") else ""

    def is_set(self, field: str) -> bool:
        """Return whether the environment sets this value explicitly, so that it is not derived."""
        source = self.sources.get(field, DEFAULT)
        return source not in {DEFAULT, *_OF_PROJECT} and not source.startswith(derived_from(""))

    def of_project(self, service_name: str, *, given: bool) -> Self:
        """Return this configuration with a project's name, `given` by its settings, unless the environment sets one."""
        if self.is_set("service_name"):
            return self
        source = _OF_PROJECT[0] if given else _OF_PROJECT[1]
        return replace(
            self, service_name=service_name, sources=MappingProxyType({**self.sources, "service_name": source})
        )

    def version_of(self, service_version: str) -> str:
        """Return `service.version` of a project; OTEL_RESOURCE_ATTRIBUTES takes precedence."""
        return dict(self.resource_attributes).get("service.version", service_version)

    def __repr__(self) -> str:
        return _representation(self, metrics_token=self.metrics_token and MASK, sources=dict(self.sources))

    def most_waiting(self, signal: Signal) -> int | None:
        """Return how many spans or log records may wait for their backend; None if only their bytes are limited."""
        batch: BatchConfig | None = {"traces": self.span_batch, "logs": self.log_batch}.get(signal)
        return batch.max_queue_size if batch else None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, *, outside: bool = True) -> Self:
        """Return the configuration in `environ`; raise `ConfigError` for its first invalid value.

        Without `outside`, unusable files and folders are accepted, for a service that has already started with them.
        """
        config, errors = cls._read_all(environ, outside=outside)
        if errors:
            raise errors[0]
        return config

    @classmethod
    def errors(cls, environ: Mapping[str, str] = os.environ) -> list[ConfigError]:
        """Return one error for each invalid value in `environ`."""
        return cls._read_all(environ)[1]

    @classmethod
    def _read_all(cls, environ: Mapping[str, str], *, outside: bool = True) -> tuple[Self, list[ConfigError]]:
        source = source_of(environ)
        environment = Environment(source.environ, source.origins, source.errors, outside=outside)
        # Variables overridden by the file get only this one warning.
        left = {name: value for name, value in environ.items() if name not in source.replaced}
        void = tuple(f"{name} has no effect: {variables.CONFIG_FILE.name} is set" for name in sorted(source.replaced))
        return cls._read(environment, left, void), environment.errors

    @classmethod
    def _read(cls, environment: Environment, left: Mapping[str, str], void: tuple[str, ...]) -> Self:
        value = environment.value
        mode = combined.mode(environment)
        service_name, resource_attributes = combined.resource(environment)
        signals = {signal: SignalConfig(**OTLPReader(environment, mode, signal).read()) for signal in SIGNALS}
        span_batch = combined.batch(environment, "span_batch", variables.SPAN_BATCH)
        log_batch = combined.batch(environment, "log_batch", variables.LOG_BATCH)
        interval, export_timeout = combined.metric_times(environment)
        sampler, sampler_arg = combined.sampler(environment)
        spool_dir, spool_bytes = combined.spool(environment)
        instrument = value("instrument", variables.INSTRUMENT)
        instrumentation = combined.instrumentation(environment)
        environment.given(variables.EXCLUDED_URLS_OF_ALL)
        exporters = {signal: each.exporter for signal, each in signals.items()}
        idle = unused(left, mode, exporters, instrument, contrib=instrumentation == "contrib")
        return cls(
            mode=mode,
            config_file=value("config_file", variables.CONFIG_FILE),
            service_name=service_name,
            resource_attributes=resource_attributes,
            **signals,
            span_batch=span_batch,
            log_batch=log_batch,
            metric_export_interval=interval,
            metric_export_timeout=export_timeout,
            sampler=sampler,
            sampler_arg=sampler_arg,
            propagators=value("propagators", variables.PROPAGATORS),
            incoming_context=value("incoming_context", variables.INCOMING_CONTEXT),
            instrumentation=instrumentation,
            instrument=instrument,
            excluded_urls=value("excluded_urls", variables.EXCLUDED_URLS, variables.EXCLUDED_URLS_OF_ALL),
            response_headers=value("response_headers", variables.RESPONSE_HEADERS),
            view_names=value("view_names", variables.VIEW_NAMES),
            limits=read_limits(environment),
            metric_temporality=value("metric_temporality", variables.TEMPORALITY),
            metric_histograms=value("metric_histograms", variables.HISTOGRAMS),
            exemplar_filter=value("exemplar_filter", variables.EXEMPLAR_FILTER),
            log_level=value("log_level", variables.LOG_LEVEL),
            flush_timeout=value("flush_timeout", variables.FLUSH_TIMEOUT),
            exporter=value("exporter", variables.EXPORTER),
            journal_bytes=value("journal_bytes", variables.JOURNAL_BYTES),
            spool_dir=spool_dir,
            spool_bytes=spool_bytes,
            metrics_token=value("metrics_token", variables.METRICS_TOKEN),
            privacy=value("privacy", variables.PRIVACY),
            redact=value("redact", variables.REDACT),
            sources=MappingProxyType(environment.sources),
            warnings=(*environment.warnings, *void, *idle, *([] if _IS_POSIX or mode == "off" else [_NOT_HERE])),
        )


def masked_headers(headers: Pairs) -> Pairs:
    """Return `headers` with their names only."""
    return tuple((name, MASK) for name, _ in headers)
