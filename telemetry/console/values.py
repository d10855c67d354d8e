"""OTLP's values as plain Python values."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

#: str, bool, int, float, None, or lists and dictionaries of them
PlainValue = Any

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
