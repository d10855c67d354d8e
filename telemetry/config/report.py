"""The effective configuration for people and programs: each value with its source, without secrets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from telemetry.config import SignalConfig, TelemetryConfig, masked_headers
from telemetry.config.reader import DEFAULT
from telemetry.config.values import MASK, SIGNALS, Pairs, Signal
from telemetry.config.variables import VARIABLES

_NOT_VALUES = {"sources", "warnings"}
_SECONDS = ("timeout", "delay", "interval")
_WIDE = 48
_HEAD = ("VARIABLE", "VALUE", "SET BY")
_NOTE = "OTEL_EXPORTER_OTLP_ variables set all signals at once without TRACES_, METRICS_ or LOGS_ in their names."


@dataclass(frozen=True, slots=True)
class Row:
    """One value: its field in `TelemetryConfig`, the variable that sets it, its masked value, its source."""

    field: str
    variable: str
    value: Any
    source: str


def rows(config: TelemetryConfig) -> list[Row]:
    """Return one row for each value of `config`; the values are ready for JSON."""
    names = _variables()
    return [Row(field, names[field], _visible(field, value), config.sources[field]) for field, value in _leaves(config)]


def as_text(config: TelemetryConfig, of_project: Sequence[Row] = ()) -> str:
    """Return a summary, then each value in aligned columns: the variable that sets it, and whether it is set.

    Values of OTLP are left out for signals not exported by OTLP. `of_project` are the rows of the project's settings.
    """
    idle = tuple(f"{signal}." for signal in SIGNALS if getattr(config, signal).exporter != "otlp")
    shown = [row for row in rows(config) if row.field.endswith(".exporter") or not row.field.startswith(idle)]
    cells = [_HEAD, *((row.variable, _plain(row), _set_by(row)) for row in (*shown, *of_project))]
    first = max(len(variable) for variable, _, _ in cells)
    second = max(len(value) for _, value, _ in cells if len(value) <= _WIDE)
    lines = [f"{variable:{first}}  {value:{second}}  {source}" for variable, value, source in cells]
    warnings = [f"warning: {warning}" for warning in config.warnings]
    return "\n".join([*_summary(config, of_project), *warnings, "", *lines, "", _NOTE])


def _summary(config: TelemetryConfig, of_project: Sequence[Row]) -> list[str]:
    """Return the mode and the destination of each signal."""
    mode = next(row for row in rows(config) if row.field == "mode")
    head = f"mode     {config.mode} ({mode.variable}, {_set_by(mode)})"
    path = next((row.value for row in of_project if row.field == "metrics_path"), None) or "/metrics"
    return [head, *(f"{signal:8} {_destination(signal, config, path)}" for signal in SIGNALS)]


def _destination(signal: Signal, config: TelemetryConfig, metrics_path: str) -> str:
    way: SignalConfig = getattr(config, signal)
    if way.exporter == "otlp":
        every = f", every {config.metric_export_interval:g} s" if signal == "metrics" else ""
        return f"to {way.endpoint} ({way.protocol}{every})"
    served = f"served at {metrics_path}"
    return {"prometheus": served, "console": "to standard output", "none": "not sent"}[way.exporter]


def _variables() -> dict[str, str]:
    """Return the variable's name for each field."""
    names: dict[str, str] = {}
    for variable in VARIABLES:
        forms = [variable.for_signal(signal) for signal in SIGNALS] if variable.per_signal else [variable]
        for signal, form in zip(SIGNALS, forms, strict=False):
            names.setdefault(variable.field.format(signal=signal), form.name)
    return names


def _set_by(row: Row) -> str:
    if row.source == DEFAULT:
        return "default"
    return "set" if row.source == row.variable else row.source


def as_data(config: TelemetryConfig, of_project: Sequence[Row] = ()) -> dict[str, Any]:
    """Return `config` ready for JSON: `settings` (field -> value and source) and `warnings`."""
    settings = {row.field: {"value": row.value, "source": row.source} for row in (*rows(config), *of_project)}
    return {"settings": settings, "warnings": list(config.warnings)}


def _leaves(instance: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for each in fields(instance):
        value = getattr(instance, each.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{each.name}.")
        elif each.name not in _NOT_VALUES:
            yield f"{prefix}{each.name}", value


def _visible(field: str, value: Any) -> Any:
    if field == "metrics_token":
        return value and MASK
    if field.endswith(".headers"):
        return dict(masked_headers(value))
    if field == "resource_attributes":
        pairs: Pairs = value
        return dict(pairs)
    return list(value) if isinstance(value, tuple) else value


def _plain(row: Row) -> str:
    if row.value in (None, "", [], {}):
        return "-"
    if isinstance(row.value, bool):
        return str(row.value).lower()
    if isinstance(row.value, dict):
        return ", ".join(f"{name}={_several(value)}".removesuffix("=") for name, value in row.value.items())
    if isinstance(row.value, list):
        return ", ".join(row.value)
    return f"{row.value:g} s" if row.field.endswith(_SECONDS) else str(row.value)


def _several(value: str | list[str]) -> str:
    return "|".join(value) if isinstance(value, list) else value
