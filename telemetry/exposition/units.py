"""OpenTelemetry's units in Prometheus's metric names, as github.com/prometheus/otlptranslator writes them."""

import re

_ANNOTATION = re.compile(r"[{}]")
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


def unit_suffixes(unit: str) -> list[str]:
    """Return what a metric's name ends with for its unit: `seconds`, `meters` and `per_second`, or nothing."""
    main, _, per = (("" if _ANNOTATION.search(part) else part.strip()) for part in unit.partition("/"))
    main = _sanitized(_UNITS.get(main, main))
    per = _sanitized(f"per_{_PER.get(per, per)}").rstrip("_")
    suffixes = [main] if per == "per" else [main.rstrip("_"), per]
    return [suffix for suffix in suffixes if suffix]


def _sanitized(text: str) -> str:
    return _OTHER_THAN_NAME.sub("_", text).removeprefix("_")
