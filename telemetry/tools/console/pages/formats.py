"""How the pages write numbers, durations, sizes and times: each function is a filter of the templates."""

import json
import math
from datetime import UTC, datetime

from markupsafe import Markup

from telemetry.tools.console.receiving.values import PlainValue, iso_time
from telemetry.tools.console.storage.records import LogRecord

#: Units of bytes, in OpenTelemetry and in Prometheus.
BYTES = frozenset({"By", "bytes"})
NOTHING = "\N{EN DASH}"
_DURATIONS = ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (1e-6, 1e6, "\N{MICRO SIGN}s"), (1e-9, 1e9, "ns"))
_BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_MANY = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALLEST, _LARGEST = 1e-6, 1e15
_TEXT_LENGTH = 4096
_LINE_LENGTH = 60


def number(value: float | None) -> str:
    """Three significant digits: 12.3, 0.0456, 1,234, 1.2e-300; a dash for None."""
    if value is None:
        return NOTHING
    if not math.isfinite(value) or not (value == 0 or _SMALLEST <= abs(value) < _LARGEST):
        return f"{value:.3g}"
    if value == 0 or abs(value) >= 100:  # noqa: PLR2004 (three digits)
        return f"{value:,.0f}"
    places = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:.{places}f}".rstrip("0").rstrip(".")


def count(value: int | None) -> str:
    """A whole number with commas; a dash for None."""
    return NOTHING if value is None else f"{value:,}"


def seconds(value: float | None) -> str:
    """A duration in seconds with its best unit."""
    if value is None:
        return NOTHING
    if value >= 100:  # noqa: PLR2004 (from here on minutes read better)
        return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"  # noqa: PLR2004
    for least, factor, unit in _DURATIONS:
        # A value that rounds up to the next unit is written in that unit.
        if value >= least * 0.9995:
            return f"{number(value * factor)} {unit}"
    return f"{number(value)} s" if value > 0 else "0 ms"


def percent(value: float | None) -> str:
    """A share as per cent."""
    return NOTHING if value is None else f"{number(value * 100)} %"


def size(value: float) -> str:
    """Bytes with their best unit."""
    least, unit = next(one for one in _BYTES if value >= one[0] or one[0] == 1)
    return f"{number(value / least)} {unit}"


def in_unit(value: float | None, unit: str) -> str:
    """A value of a metric with its unit of OpenTelemetry or Prometheus."""
    if value is not None and value >= 0 and unit in BYTES:
        return size(value)
    if value is None or (value >= 0 and unit in {"s", "seconds"}):
        return seconds(value)
    least, letter = next((one for one in _MANY if abs(value) >= one[0] * 10), (1, ""))
    return f"{number(value / least)} {letter}".rstrip()


def time_of_day(time: float) -> str:
    """Seconds since the epoch as the time of day in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S") if math.isfinite(time) else NOTHING


def moment(time_ns: int) -> Markup:
    """Date and time in UTC to the second, as an element of the page, for people and machines."""
    whole = iso_time(time_ns) or ""
    return Markup(f'<time datetime="{whole}">{whole[:19].replace("T", " ") or NOTHING}</time>')  # noqa: S704 (digits)


def time(time_ns: int) -> Markup:
    """The time of day as such an element."""
    whole = iso_time(time_ns, "microseconds") or ""
    return Markup(f'<time datetime="{whole}">{whole[11:23] or NOTHING}</time>')  # noqa: S704 (digits and dashes)


def plain(value: PlainValue) -> str:
    """An attribute's value as text: texts as they are, everything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _TEXT_LENGTH else f"{text[:_TEXT_LENGTH]}\N{HORIZONTAL ELLIPSIS}"


def message(record: LogRecord) -> str:
    """What a log record says: its body, or its event's name if it has none."""
    return plain(record.event_name if record.body is None else record.body)


def is_long(value: PlainValue) -> bool:
    """Whether an attribute's value needs a line of its own."""
    text = plain(value)
    return len(text) > _LINE_LENGTH or "\n" in text


def plural(number_of: int, one: str) -> str:
    """`3|plural:"span"` is "3 spans"."""
    many = one if one.endswith("series") else f"{one}es" if one.endswith("s") else f"{one}s"
    return f"{number_of:,} {one if number_of == 1 else many}"
