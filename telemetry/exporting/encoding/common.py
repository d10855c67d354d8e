"""The parts that spans and log records share in OTLP: values, attributes and times.

https://github.com/open-telemetry/opentelemetry-proto/blob/v1.10.0/opentelemetry/proto/common/v1/common.proto
"""

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct, error
from typing import Any

from telemetry.exporting.encoding.wire import BYTES, FIXED64, VARINT, field, tag, utf8, varint

_STRING = tag(1, BYTES)
_FALSE = tag(2, VARINT) + varint(0)
_TRUE = tag(2, VARINT) + varint(1)
_INT = tag(3, VARINT)
_DOUBLE = tag(4, FIXED64)
_ARRAY = tag(5, BYTES)
_KEY_VALUES = tag(6, BYTES)
_BYTES = tag(7, BYTES)

_KEY = tag(1, BYTES)
_VALUE = tag(2, BYTES)
_ITEM = tag(1, BYTES)  # of an array, of a list of keys and values

_double = Struct("<d").pack
_fixed64 = Struct("<Q").pack
_LATEST = 2**64 - 1
_LONG = 256
_INT64 = 2**63
_KEPT = frozenset((str, int, bool))

_logger = logging.getLogger(__name__)


def attributes(tag: bytes, attributes: Mapping[str, Any] | bytes) -> bytes:
    """Return one field with `tag` for each attribute; skip those that cannot be encoded, with a warning.

    Bytes are attributes already encoded with the tag of their item.
    """
    if isinstance(attributes, bytes):
        return attributes
    fields = []
    value: Any
    for key, value in attributes.items():
        kind = value.__class__
        try:
            if kind in _KEPT and (kind is not str or len(value) < _LONG):
                fields.append(_known_attribute(tag, key, value))
            else:
                fields.append(_attribute(tag, key, value))
        except Exception as problem:  # noqa: BLE001  (one invalid attribute must not lose its span)
            _logger.warning("the attribute %s cannot be encoded: %s", key, problem)
    return b"".join(fields)


def _attribute(tag: bytes, key: str, value: Any) -> bytes:
    return field(tag, _key_value(key, value))


def _key_value(key: str, value: Any) -> bytes:
    return field(_KEY, utf8(key)) + field(_VALUE, any_value(value))


# Most attributes recur in many spans. Typed, because 1, 1.0 and True are equal.
_known_attribute = lru_cache(maxsize=1024, typed=True)(_attribute)


def any_value(value: Any) -> bytes:  # noqa: PLR0911  (one per kind)
    """Return the content of an AnyValue; raises ValueError for integers of more than 64 bits, TypeError for objects."""
    if isinstance(value, str):
        return field(_STRING, utf8(value))
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int):
        return _INT + _signed(value)
    if isinstance(value, float):
        return _DOUBLE + _double(value)
    if value is None:
        return b""
    if isinstance(value, bytes):
        return field(_BYTES, value)
    if isinstance(value, Sequence):
        return field(_ARRAY, b"".join([field(_ITEM, any_value(inner)) for inner in value]))
    if isinstance(value, Mapping):
        pairs = [field(_ITEM, _key_value(str(key), inner)) for key, inner in value.items()]
        return field(_KEY_VALUES, b"".join(pairs))
    raise TypeError(f"its type is {type(value).__name__}")


def _signed(number: int) -> bytes:
    if not -_INT64 <= number < _INT64:
        raise ValueError("it has more than 64 bits")
    return varint(number % (2 * _INT64))


def nanoseconds(time: float | None) -> bytes:
    """Return a time in nanoseconds since 1970 as 64 bits; 0 for None and earlier times, as protobuf's default."""
    try:
        return _fixed64(time)
    except error:
        return _fixed64(min(max(0, int(time or 0)), _LATEST))
