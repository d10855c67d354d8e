"""Single values on their way out: as a text, as a number that OTLP and JSON have, and paths beside their route."""

import math
import re
from functools import lru_cache
from typing import Any

from telemetry.privacy.bounds import TEXT_BYTES, cut, encodable
from telemetry.privacy.rule import MASK

_INT64 = 2**63
_LONGEST_NUMBER = 256  # bits
_SEGMENT = re.compile(r"[0-9]{1,10}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def text_of(value: Any) -> str:
    """Return `value` as a text; never raises."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001  (whatever an object's own text does)
        return f"({type(value).__name__})"


def number_of(value: float) -> float | str:
    """Return what neither OTLP nor JSON has a number for as a text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(float(value))
    if -_INT64 <= value < _INT64:
        return value
    bits = value.bit_length()
    return str(int(value)) if bits <= _LONGEST_NUMBER else f"(an integer of {bits} bits)"


@lru_cache(maxsize=256)
def _fixed(route: str) -> frozenset[str]:
    return frozenset(route.split("/"))


def shown_path(path: str, route: str) -> str:
    """Return the path as far as the route has it: clients may put anything into the rest, or ask for anything."""
    fixed = _fixed(route)
    segments = path[: TEXT_BYTES // 4].partition("?")[0].split("/")
    kept = [segment if segment in fixed or _SEGMENT.fullmatch(segment) else segment and MASK for segment in segments]
    shown = "/".join(kept)
    return shown if shown.isascii() and len(shown) <= TEXT_BYTES else cut(encodable(shown), TEXT_BYTES)
