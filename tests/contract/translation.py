"""OTLP metrics as Prometheus shows them: a small reference for the rules, independent of the service's own code.

Written from the documented rules, with the settings that Prometheus has by default (`UnderscoreEscapingWithSuffixes`):
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
https://prometheus.io/docs/guides/opentelemetry/
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from telemetry.tools.console.storage.points import Point, Series

TYPES = {"counter": "counter", "up_down_counter": "gauge", "gauge": "gauge", "histogram": "histogram"}
# Units that are words of their own in Prometheus; the rest stays as it is, annotations in braces are left out.
_UNITS = {"s": "seconds", "ms": "milliseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "1": ""}
_UNITS |= {"min": "minutes", "h": "hours", "d": "days", "us": "microseconds", "ns": "nanoseconds", "%": "percent"}
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
# Resource attributes that are promoted to labels of every series: `promote_resource_attributes` in Prometheus'
# configuration, a transform processor in a collector.
PROMOTED = ("service.name", "deployment.environment.name", "export.mode")
_INFINITE = "+Inf"


@dataclass(frozen=True)
class Sample:
    """One sample of Prometheus, without its value: the family's type and unit, the sample's name, its labels."""

    family: str
    type: str
    unit: str
    name: str
    labels: Mapping[str, str]


def family_name(name: str, unit: str, kind: str) -> str:
    """Return the family's name: the unit as suffix, then `_ratio` for gauges of unit 1 and `_total` for counters."""
    tokens = [token for token in re.split(r"[^a-zA-Z0-9:]+", name) if token]
    main, _, per = unit.partition("/")
    main, per = ("" if "{" in part else part.strip() for part in (main, per))
    main = _UNITS.get(main, main)
    suffixes = [re.sub(r"[^a-zA-Z0-9:]+", "_", main).strip("_"), f"per_{_PER.get(per, per)}" if per else ""]
    tokens += [suffix for suffix in suffixes if suffix and suffix not in tokens]
    if kind == "counter":
        tokens = [*(token for token in tokens if token != "total"), "total"]
    if kind == "gauge" and unit == "1":
        tokens = [*(token for token in tokens if token != "ratio"), "ratio"]
    translated = "_".join(tokens)
    return f"_{translated}" if translated[:1].isdigit() else translated


def unit_name(unit: str) -> str:
    """Return Prometheus' word for a unit without `/`; empty for annotations."""
    return "" if "{" in unit else _UNITS.get(unit, unit)


def label_name(key: str) -> str:
    """Return an attribute's or a resource attribute's name as label."""
    name = re.sub(r"[^a-zA-Z0-9]+", "_", key)
    if name[:1].isdigit():
        return f"key_{name}"
    return f"key{name}" if name.startswith("_") else name


def label_value(value: Any) -> str:
    """Return an attribute's value as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def bucket_limit(bound: float) -> str:
    """Return `le`: the shortest decimal number, `1` and not `1.0`."""
    return f"{bound:f}".rstrip("0").rstrip(".") if bound == round(bound, 6) else repr(bound)


def samples(series: Series, point: Point, resource: Mapping[str, Any]) -> Iterator[Sample]:
    """Yield the samples that one OTLP point becomes."""
    instrument = series.instrument
    type_, unit = TYPES[instrument.type], unit_name(instrument.unit)
    family = family_name(instrument.name, instrument.unit, instrument.type)
    labels = {label_name(key): label_value(value) for key, value in series.attributes.items()}
    labels |= {label_name(key): label_value(resource[key]) for key in PROMOTED if key in resource}
    if type_ != "histogram":
        yield Sample(family, type_, unit, family, labels)
        return
    for limit in [*map(bucket_limit, point.data["bounds"]), _INFINITE]:
        yield Sample(family, type_, unit, f"{family}_bucket", {**labels, "le": limit})
    for suffix in ("sum", "count"):
        yield Sample(family, type_, unit, f"{family}_{suffix}", labels)


def target_info(resource: Mapping[str, Any]) -> Sample:
    """Return the sample that describes the resource, with `keep_identifying_resource_attributes` set."""
    labels = {label_name(key): label_value(value) for key, value in resource.items()}
    return Sample("target_info", "gauge", "", "target_info", labels)
