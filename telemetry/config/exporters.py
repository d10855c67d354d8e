"""The exporters of each signal in each mode: the only part of the configuration that defines the modes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from telemetry.config.reader import Variable
from telemetry.config.values import SIGNALS, Exporter, Mode, OneOf, Signal


@dataclass(frozen=True)
class ExporterRule:
    """The exporters of a signal in a mode."""

    default: Exporter
    accepted: Sequence[Exporter]
    default_with_own_endpoint: Exporter | None = None
    """The default if the signal has its own endpoint."""
    forced: bool = False
    """Whether the default always applies."""


_PUSH: Sequence[Exporter] = ("otlp", "console", "none")
_ALL: Sequence[Exporter] = get_args(Exporter)
_OFF = ExporterRule("none", _ALL, forced=True)

EXPORTER_RULES: Mapping[Mode, Mapping[Signal, ExporterRule]] = {
    "collector": {signal: ExporterRule("otlp", _PUSH) for signal in SIGNALS},
    "direct": {
        "traces": ExporterRule("otlp", _PUSH),
        "metrics": ExporterRule("prometheus", ("prometheus", *_PUSH)),
        "logs": ExporterRule("console", _PUSH, default_with_own_endpoint="otlp"),
    },
    "off": dict.fromkeys(SIGNALS, _OFF),
}
PROMETHEUS_ELSEWHERE = "needs the mode that serves /metrics (TELEMETRY_MODE=direct)"

EXPORTERS: Mapping[Signal, Variable[Exporter]] = {
    "traces": Variable(
        "OTEL_TRACES_EXPORTER",
        "traces.exporter",
        OneOf[Exporter](_PUSH),
        None,
        "How spans are exported.",
        "`otlp`",
    ),
    "metrics": Variable(
        "OTEL_METRICS_EXPORTER",
        "metrics.exporter",
        OneOf[Exporter](_ALL),
        None,
        "How metrics are exported; `prometheus` (scraped from `/metrics`) only in mode direct.",
        "collector: `otlp`; direct: `prometheus`",
    ),
    "logs": Variable(
        "OTEL_LOGS_EXPORTER",
        "logs.exporter",
        OneOf[Exporter](_PUSH),
        None,
        "How log records are exported.",
        "collector: `otlp`; direct: `otlp` if `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` is set, else `console`",
    ),
}
