"""OTLP's values as plain Python values."""

import base64
import math
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

#: str, bool, int, float, None, or lists and dictionaries of them
PlainValue = Any

_LARGEST = 1 << 64
_LAST_NS = 253_402_300_799 * 10**9  # the end of the year 9999, the last one that datetime knows


def plain_value(value: AnyValue) -> PlainValue:
    """Convert arrays to lists, key-value lists to dictionaries, bytes to base64 text, an unset value to None."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return plain_attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    return getattr(value, kind) if kind else None


def plain_attributes(attributes: Iterable[KeyValue]) -> dict[str, PlainValue]:
    """Return attributes as a dictionary; of a repeated key the last value counts."""
    return {attribute.key: plain_value(attribute.value) for attribute in attributes}


def whole(value: float) -> int:
    """Return a count or a time as an integer; 0 if it exceeds the possible range."""
    return int(value) if math.isfinite(value) and abs(value) < _LARGEST else 0


def iso_time(time_ns: int, precision: str = "auto") -> str | None:
    """Return nanoseconds since the epoch as ISO 8601, to the microsecond; None for 0, which means unset."""
    if not 0 < time_ns <= _LAST_NS:
        return None
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000).isoformat(timespec=precision)


def size_of(value: PlainValue) -> int:
    """Return the memory that a value and its contents take, in bytes."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return size + sum(map(size_of, value))
    return size


def digest(*parts: str | bytes) -> bytes:
    """Return a key of fixed size for the identity of a series, whatever its length."""
    found = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        found.update(len(encoded).to_bytes(8, "big") + encoded)
    return found.digest()
