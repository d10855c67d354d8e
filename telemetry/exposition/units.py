"""OpenTelemetry's units in Prometheus's metric names.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#metric-metadata-1
"""

import re

_ANNOTATION = re.compile(r"{.*}")
_OTHER_THAN_NAME = re.compile(r"[^a-zA-Z0-9:]+")
_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",  # as Prometheus spells it
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def unit_suffix(unit: str) -> str:
    """Return the suffix of a metric's name for its unit: `seconds`, `meters_per_second`, or ""."""
    unit = _ANNOTATION.sub("", unit)
    if unit in _UNITS:
        return _UNITS[unit]
    top, slash, bottom = unit.partition("/")
    if slash and (bottom := _sanitized(bottom)):
        top = _sanitized(top)
        top, bottom = _UNITS.get(top, top), _PER.get(bottom, bottom)
        return f"{top}_per_{bottom}" if top else f"per_{bottom}"
    return _sanitized(unit).strip("_")


def _sanitized(text: str) -> str:
    return _OTHER_THAN_NAME.sub("_", text)
