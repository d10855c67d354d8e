"""The effective configuration as people and programs read it: each value with its source, without secrets."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from telemetry.config import TelemetryConfig, masked_headers
from telemetry.config.values import MASK, SIGNALS, Pairs

_NOT_VALUES = {"sources", "warnings"}
_SECONDS = ("timeout", "delay", "interval")
_WIDE = 48


@dataclass(frozen=True, slots=True)
class Row:
    """One value: where it stands in `TelemetryConfig`, what may be shown of it, and where it is from."""

    field: str
    value: Any
    source: str


def rows(config: TelemetryConfig) -> list[Row]:
    """Return one row for each value of `config`; the values are ready for JSON."""
    return [Row(field, _visible(field, value), config.sources[field]) for field, value in _leaves(config)]


def as_text(config: TelemetryConfig) -> str:
    """Return `config` in aligned columns; what only OTLP needs is left out for signals that leave otherwise."""
    idle = tuple(f"{signal}." for signal in SIGNALS if getattr(config, signal).exporter != "otlp")
    shown = [row for row in rows(config) if row.field.endswith(".exporter") or not row.field.startswith(idle)]
    cells = [(row.field, _plain(row), row.source) for row in shown]
    first = max(len(field) for field, _, _ in cells)
    second = max(len(value) for _, value, _ in cells if len(value) <= _WIDE)
    lines = [f"{field:{first}}  {value:{second}}  {source}" for field, value, source in cells]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in config.warnings)])


def as_data(config: TelemetryConfig) -> dict[str, Any]:
    """Return `config` ready for JSON: `settings` (field -> value and source) and `warnings`."""
    settings = {row.field: {"value": row.value, "source": row.source} for row in rows(config)}
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
        return ", ".join(f"{name}={value}" for name, value in row.value.items())
    if isinstance(row.value, list):
        return ", ".join(row.value)
    return f"{row.value:g} s" if row.field.endswith(_SECONDS) else str(row.value)
