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

from telemetry.exposition.units import unit_suffix

# Several in a row become one sign.
_OTHER_THAN_METRIC = re.compile(r"[^a-zA-Z0-9:]+")
_OTHER_THAN_LABEL = re.compile(r"[^a-zA-Z0-9]+")

_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_DIGITS = 6

Type = Literal["counter", "gauge", "histogram"]
_TYPES: Mapping[str, Type] = {
    "counter": "counter",
    "observable_counter": "counter",
    "histogram": "histogram",
}


class Family(NamedTuple):
    """A metric as Prometheus names it: without `_total`."""

    name: str
    unit: str
    type: Type
    help: str

    def sample_names(self) -> set[str]:
        """Return every name that its lines begin with, in either format, but for `_created`."""
        suffixes = {"counter": ("", "_total"), "gauge": ("",), "histogram": ("", "_bucket", "_sum", "_count")}
        return {self.name + suffix for suffix in suffixes[self.type]}


class Translation:
    """Translates keys; the constant labels are on every series and win over attributes of the same name."""

    def __init__(self, constant_labels: Mapping[str, str]) -> None:
        self._constants = dict(_sanitized(constant_labels))

    def family(self, kind: str, name: str, unit: str, description: str) -> Family:
        """Return the family of an instrument."""
        named, suffix = family_name(name, unit, kind)
        return Family(named, suffix, _TYPES.get(kind, "gauge"), description or name)

    def labels_of(self, family: Family, attributes: Mapping[str, Any]) -> str:
        """Return the labels of a series of `family`."""
        return self.labels(attributes, {*self._constants, "le"} if family.type == "histogram" else self._constants)

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


def family_name(name: str, unit: str, kind: str) -> tuple[str, str]:
    """The name of a metric's family, without ``_total``, and the unit in it."""
    base = _OTHER_THAN_METRIC.sub("_", name).strip("_")
    if base[:1].isdigit():
        base = f"_{base}"
    suffix = "ratio" if kind.endswith("gauge") and unit == "1" else unit_suffix(unit)
    if kind.endswith("counter") and not kind.endswith("updowncounter"):
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
    text = repr(float(value))
    if text in _NOT_FINITE:
        return _NOT_FINITE[text]
    whole, dot, fraction = text.partition(".")
    if dot and len(whole) > _DIGITS and value > 0 and "e" not in fraction:
        # Go turns to exponents sooner than Python.
        mantissa = f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0").rstrip(".")
        return f"{mantissa}e+{len(whole) - 1:02}"
    return text
