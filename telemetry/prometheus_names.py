"""OpenTelemetry's names, units and attributes as Prometheus shows them.

A scrape shows what Prometheus' OTLP receiver and Alloy show for the same metric. The units are those of
opentelemetry-exporter-prometheus; its other rules differ from theirs in gauges of unit 1 (``_ratio``), in names that
begin with a digit or end in other signs, and in attributes whose names become equal (their values are joined).
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from opentelemetry.exporter.prometheus._mapping import map_unit  # the table of units exists only there
from prometheus_client.utils import floatToGoString

from telemetry.series_key import Kind, SeriesKey

# Several in a row become one sign.
_OTHER_THAN_METRIC = re.compile(r"[^a-zA-Z0-9:]+")
_OTHER_THAN_LABEL = re.compile(r"[^a-zA-Z0-9]+")

Type = Literal["counter", "gauge", "histogram"]
_TYPES: dict[Kind, Type] = {
    "counter": "counter",
    "histogram": "histogram",
    "updowncounter": "gauge",
    "gauge": "gauge",
}


class PrometheusSeries(NamedTuple):
    """One series as Prometheus names it; the family's name is without ``_total``."""

    name: str  # OpenTelemetry's
    family: str
    unit: str
    type: Type
    help: str
    labels: str  # rendered, without braces
    bounds: tuple[float, ...]
    merge: str
    values: int  # how many values and exemplar slots its entries have
    exemplars: int


class Translation:
    """Translates keys; the constant labels are on every series and win over attributes of the same name."""

    def __init__(self, constant_labels: Mapping[str, str]) -> None:
        self._constants = dict(_sanitized(constant_labels))

    def series(self, key: SeriesKey) -> PrometheusSeries:
        """The series of a key."""
        type_ = _TYPES[key.kind]
        family, unit = family_name(key.name, key.unit, key.kind)
        text = key.description or key.name
        if type_ == "gauge":
            text = f"{text} ({_MERGE_WORDS[key.merge]} over workers)"
        reserved = {*self._constants, "le"} if type_ == "histogram" else self._constants
        labels = self.labels(key.attributes, reserved)
        return PrometheusSeries(
            key.name, family, unit, type_, text, labels, key.bounds, key.merge, key.values, key.exemplars
        )

    def labels(self, attributes: Mapping[str, Any], reserved: Iterable[str] | None = None) -> str:
        """Attributes and constant labels, sorted by name. An attribute with a reserved name gets ``exported_``."""
        reserved = self._constants if reserved is None else reserved
        merged = {(f"exported_{name}" if name in reserved else name): value for name, value in _sanitized(attributes)}
        merged |= self._constants
        # To Prometheus an empty label is no label: kept, it would make two series of one.
        return ",".join(f'{name}="{escape_label(value)}"' for name, value in sorted(merged.items()) if value)

    def resource_labels(self, attributes: Mapping[str, Any]) -> str:
        """Labels of target_info: constant labels are not repeated under another name."""
        named = {name: value for name, value in _sanitized(attributes) if name not in self._constants}
        return self.labels(named, ())


_MERGE_WORDS = {"sum": "sum", "max": "maximum", "min": "minimum", "mostrecent": "most recent"}


def family_name(name: str, unit: str, kind: Kind) -> tuple[str, str]:
    """The name of a metric's family, without ``_total``, and the unit in it."""
    base = _OTHER_THAN_METRIC.sub("_", name).strip("_")
    if base[:1].isdigit():
        base = f"_{base}"
    suffix = "ratio" if kind == "gauge" and unit == "1" else map_unit(unit)
    if kind == "counter":
        base = base.removesuffix("_total")
    if suffix and not base.endswith(f"_{suffix}"):
        base = f"{base}_{suffix}"
    return base, suffix


def _sanitized(attributes: Mapping[str, Any]) -> list[tuple[str, str]]:
    merged: dict[str, str] = {}
    for key in sorted(attributes):
        name, value = label_name(key), label_value(attributes[key])
        merged[name] = f"{merged[name]};{value}" if name in merged else value
    return list(merged.items())


def label_name(key: str) -> str:
    """The name of an attribute as a label."""
    name = _OTHER_THAN_LABEL.sub("_", key)
    if name[:1].isdigit():
        return f"key_{name}"
    return f"key{name}" if name.startswith("_") else name


def label_value(value: Any) -> str:
    """An attribute's value as text, as OTLP receivers write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and value.is_integer():
        return format(value, ".15g")
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def escape_label(text: str) -> str:
    """A label's value inside its quotes; also the HELP text of OpenMetrics."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def escape_help(text: str) -> str:
    """The HELP text of the Prometheus format."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def number(value: float) -> str:
    """A number as Go writes it, which Prometheus takes for the canonical form of ``le``."""
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text
