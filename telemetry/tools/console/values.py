"""OTLP's values as plain Python values."""

from __future__ import annotations

import base64
import math
import sys
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

#: str, bool, int, float, None, or lists and dictionaries of them
PlainValue = Any

_LARGEST = 1 << 64
_SCALARS = frozenset({"string_value", "bool_value", "int_value", "double_value"})


def plain_value(value: AnyValue) -> PlainValue:
    """Arrays become lists, key-value lists dictionaries, bytes base64 text; an unset value is None."""
    kind = value.WhichOneof("value")
    if kind in _SCALARS:
        return getattr(value, kind)
    if kind == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return plain_attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    return None


def plain_attributes(attributes: Iterable[KeyValue]) -> dict[str, PlainValue]:
    """Attributes as a dictionary; of a key that comes twice the last value counts."""
    return {attribute.key: plain_value(attribute.value) for attribute in attributes}


def whole(value: float) -> int:
    """A count or a time as a whole number; 0 if it is larger than any can be."""
    return int(value) if math.isfinite(value) and abs(value) < _LARGEST else 0


def size_of(value: PlainValue) -> int:
    """What a value takes in memory with all that it holds (bytes)."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return size + sum(map(size_of, value))
    return size


def digest(*parts: str | bytes) -> bytes:
    """A key of fixed size for what identifies a series, whatever its length."""
    found = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        found.update(len(encoded).to_bytes(8, "big") + encoded)
    return found.digest()
