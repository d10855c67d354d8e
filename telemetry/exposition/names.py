"""Translates OpenTelemetry's names, units and attributes to Prometheus.

A scrape has the same names as Prometheus's OTLP receiver and Alloy produce for the same metric, by the rules of
github.com/prometheus/otlptranslator. Those of opentelemetry-exporter-prometheus differ.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from telemetry.exposition.units import unit_suffixes

# Several such characters in a row become one underscore.
_OTHER_THAN_METRIC = re.compile(r"[^a-zA-Z0-9:]+")
_OTHER_THAN_LABEL = re.compile(r"[^a-zA-Z0-9]+")

_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_DIGITS = 6
# Smaller and larger numbers have exponents in a label.
_LEAST_PLAIN, _LEAST_EXPONENT = 1e-6, 1e21

Type = Literal["counter", "gauge", "histogram"]
_TYPES: Mapping[str, Type] = {
    "counter": "counter",
    "observable_counter": "counter",
    "histogram": "histogram",
}


class Family(NamedTuple):
    """A metric family in Prometheus, with its name without `_total`."""

    name: str
    unit: str
    type: Type
    help: str

    def sample_names(self) -> set[str]:
        """Return the names of its samples in either format, except for `_created`."""
        suffixes = {"counter": ("", "_total"), "gauge": ("",), "histogram": ("", "_bucket", "_sum", "_count")}
        return {self.name + suffix for suffix in suffixes[self.type]}


class Translation:
    """Translates keys; the constant labels are on every series and take precedence over attributes of the same name."""

    def __init__(self, constant_labels: Mapping[str, str]) -> None:
        self._constants = _sanitized(constant_labels)

    def family(self, kind: str, name: str, unit: str, description: str) -> Family:
        """Return the family of an instrument."""
        named, suffix = family_name(name, unit, kind)
        return Family(named, suffix, _TYPES.get(kind, "gauge"), description or name)

    def labels_of(self, family: Family, attributes: Mapping[str, Any]) -> str:
        """Return the labels of a series of `family`."""
        return self.labels(attributes, {*self._constants, "le"} if family.type == "histogram" else self._constants)

    def labels(self, attributes: Mapping[str, Any], reserved: Iterable[str] | None = None) -> str:
        """Return attributes and constant labels, sorted by name; prefix reserved attribute names with ``exported_``.

        The prefix is repeated until the name is free, as Prometheus does for scraped labels.
        """
        reserved = self._constants if reserved is None else reserved
        named = _sanitized(attributes)
        merged = {name: value for name, value in named.items() if name not in reserved}
        for name in sorted(named.keys() - merged.keys()):
            free = f"exported_{name}"
            while free in merged or free in reserved:
                free = f"exported_{free}"
            merged[free] = named[name]
        merged |= self._constants
        # Prometheus treats an empty label as missing: kept, it would create a duplicate series.
        return ",".join(f'{name}="{escape_label(value)}"' for name, value in sorted(merged.items()) if value)

    def resource_labels(self, attributes: Mapping[str, Any]) -> str:
        """Return the labels of target_info, without repeating constant labels under another name."""
        named = {name: value for name, value in _sanitized(attributes).items() if name not in self._constants}
        return self.labels(named, ())


def family_name(name: str, unit: str, kind: str) -> tuple[str, str]:
    """Return the name of a metric's family, without ``_total``, and the unit in it.

    The name is empty if the metric's has no character that Prometheus allows: its unit alone names nothing.
    """
    words = [word for word in _OTHER_THAN_METRIC.split(name) if word]
    if not words:
        return "", ""
    units = unit_suffixes(unit)
    words += [each for each in units if each not in words]
    if kind.endswith("gauge") and unit == "1":
        units = ["ratio"]
        words = [*(word for word in words if word != "ratio"), "ratio"]
    if kind.endswith("counter") and not kind.endswith("updowncounter"):
        words = [word for word in words if word != "total"] or words
    base = "_".join(words)
    return f"_{base}" if base[:1].isdigit() else base, "_".join(units)


def _sanitized(attributes: Mapping[str, Any]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for key in sorted(attributes):
        name, value = label_name(key), label_value(attributes[key])
        merged[name] = f"{merged[name]};{value}" if name in merged else value
    return merged


def label_name(key: str) -> str:
    """Return the label name of an attribute."""
    name = _OTHER_THAN_LABEL.sub("_", key)
    if name[:1].isdigit():
        return f"key_{name}"
    return f"key{name or '_'}" if name[:1] in {"", "_"} else name


def label_value(value: Any) -> str:
    """Return an attribute's value as text, as OTLP receivers format it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return _float_text(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _float_text(value: float) -> str:
    """Return a number as JavaScript writes it, with all of its digits."""
    text = repr(value)
    if value and not _LEAST_PLAIN <= abs(value) < _LEAST_EXPONENT:
        mantissa, exponent, digits = text.partition("e")
        return f"{mantissa}e{int(digits):+d}" if exponent else text
    return format(Decimal(text), "f").removesuffix(".0")


def escape_label(text: str) -> str:
    """Escape a label's value, or the HELP text of OpenMetrics."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def escape_help(text: str) -> str:
    """Escape the HELP text of the Prometheus format."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def number(value: float) -> str:
    """Return a number as Go formats it, which is the canonical form of ``le`` in Prometheus."""
    text = repr(float(value))
    if text in _NOT_FINITE:
        return _NOT_FINITE[text]
    whole, dot, fraction = text.partition(".")
    if dot and len(whole) > _DIGITS and value > 0 and "e" not in fraction:
        # Go switches to exponents sooner than Python.
        mantissa = f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0").rstrip(".")
        return f"{mantissa}e+{len(whole) - 1:02}"
    return text
