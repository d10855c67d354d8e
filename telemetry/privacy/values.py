"""Converts single values for export: to a text, to a number valid in OTLP and JSON, and a path by its route."""

import math
import re
from functools import lru_cache
from typing import Any

from telemetry.privacy.bounds import TEXT_BYTES, cut, encodable
from telemetry.privacy.rule import MASK

_INT64 = 2**63
_LONGEST_NUMBER = 256  # bits
_UUID = "-".join(f"[0-9a-fA-F]{{{length}}}" for length in (8, 4, 4, 4, 12))
_SEGMENT = re.compile(rf"[0-9]{{1,10}}|{_UUID}")


def text_of(value: Any) -> str:
    """Return `value` as a text; never raises."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001  (an object's `__str__` may raise anything)
        return f"({type(value).__name__})"


def number_of(value: float) -> float | str:
    """Return `value`, as a text if OTLP or JSON cannot represent it as a number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(float(value))
    if -_INT64 <= value < _INT64:
        return value
    bits = value.bit_length()
    return str(int(value)) if bits <= _LONGEST_NUMBER else f"(an integer of {bits} bits)"


class _Shown:
    """The parts of a path that may be exported for a route."""

    def __init__(self, route: str) -> None:
        self.fixed = frozenset(route.split("/"))
        words = "|".join(map(re.escape, sorted(self.fixed, reverse=True)))  # the empty one at the end
        segment = rf"(?>(?:{words}|{_SEGMENT.pattern})(?=/|\Z))"
        self.whole = re.compile(rf"{segment}(?:/{segment})*+")


_shown = lru_cache(maxsize=256)(_Shown)


def shown_path(path: str, route: str) -> str:
    """Return `path` with masks for segments that are neither in `route` nor numbers or UUIDs: clients choose them."""
    shown = _shown(route)
    if len(path) <= TEXT_BYTES // 4 and shown.whole.fullmatch(path) and path.isascii():
        return path
    fixed = shown.fixed
    segments = path[: TEXT_BYTES // 4].partition("?")[0].split("/")
    kept = [segment if segment in fixed or _SEGMENT.fullmatch(segment) else segment and MASK for segment in segments]
    result = "/".join(kept)
    return result if result.isascii() and len(result) <= TEXT_BYTES else cut(encodable(result), TEXT_BYTES)
