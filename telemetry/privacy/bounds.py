"""Size limits of exported texts and attributes, and the truncation of longer ones, with a note.

Lengths are in bytes of UTF-8, as the backends count them: Loki refuses a line with more than 64 KB of structured
metadata, as which it stores a record's attributes, or with more than 128 entries
(https://grafana.com/docs/loki/latest/configure/#limits_config).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

TEXT_BYTES = 4 * 1024
"""An attribute, a name, a status description."""
BODY_BYTES = 8 * 1024
"""A log record's body."""
STACK_BYTES = 16 * 1024
"""A stack trace; its end, with the error, is kept."""
TOTAL_BYTES = 32 * 1024
"""Names and values of all attributes of one span, event, link or log record."""
ATTRIBUTE_COUNT = 64
"""Attributes of one span, event, link or log record, and values of one list."""

STACK_CHARACTERS = 128 * 1024
"""The longest stack trace that is redacted as a whole."""
LONGEST_KEY = 255
"""The name of an attribute."""
DROPPED = "otel.dropped_attributes_count"
"""The attribute with the number of dropped ones (https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/)."""

Items = Iterable[tuple[Any, Any]]

_PLAIN = (bool, int, float)
_WIDEST_CHARACTER = 4
_HEAD_SHARE = 0.25
# The characters in a value with values, which count as the widest ones.
_MOST_WITHIN = TOTAL_BYTES // _WIDEST_CHARACTER - LONGEST_KEY


def size(text: str) -> int:
    """Return the number of bytes of `text` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def encodable(text: str) -> str:
    """Return `text` with question marks for lone surrogates, which neither OTLP nor JSON can represent."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def cut(text: str, limit: int, length: int | None = None) -> str:
    """Return `text`, or its beginning with a note if it is longer than `limit` bytes.

    `length` is the number of characters to report if `text` has already been shortened.
    """
    if length is None:
        if len(text) * _WIDEST_CHARACTER <= limit or size(text) <= limit:
            return text
        length = len(text)
    note = f"... [cut, {length} characters]"
    return _beginning(text, limit - len(note)) + note


def cut_middle(text: str, limit: int, length: int | None = None) -> str:
    """Return `text`, or its beginning and its end with a note between them if it is longer than `limit` bytes."""
    if length is None:
        if len(text) * _WIDEST_CHARACTER <= limit or size(text) <= limit:
            return text
        length = len(text)
    note = f"\n... [cut, {length} characters]\n"
    head = _beginning(text, int((limit - len(note)) * _HEAD_SHARE))
    return head + note + _end(text, limit - len(note) - size(head))


def _beginning(text: str, limit: int) -> str:
    return text[:limit].encode(errors="replace")[: max(0, limit)].decode(errors="ignore")


def _end(text: str, limit: int) -> str:
    return text[-limit:].encode(errors="replace")[-limit:].decode(errors="ignore") if limit > 0 else ""


def fits(count: int, characters: int) -> bool:
    """Return whether `count` attributes with `characters` are within the limits, at any width of the characters."""
    return count <= ATTRIBUTE_COUNT and characters * _WIDEST_CHARACTER <= TOTAL_BYTES


def length_of(value: Any) -> int:
    """Return the number of characters in the redacted value of an attribute."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + length_of(inner) for key, inner in value.items())
    if isinstance(value, list):
        return sum(map(length_of, value))
    return 8


def shortened(value: Any, items_of: Callable[[Mapping[Any, Any]], Items], most: int = _MOST_WITHIN) -> tuple[Any, int]:
    """Return the value of an attribute, not yet redacted, without the members that exceed the limits, and its length.

    Hardly more members are visited than returned, at any depth. Those of a mapping are what `items_of` returns.
    """
    if isinstance(value, str | bytes):
        return value, min(len(value), TEXT_BYTES)
    length = 0
    if isinstance(value, Mapping):
        mapping: dict[Any, Any] = {}
        for key, inner in islice(items_of(value), ATTRIBUTE_COUNT - (len(value) > ATTRIBUTE_COUNT)):
            member, needed = shortened(inner, items_of, most - length)
            needed += len(key) if isinstance(key, str | bytes) else 8
            if length + needed > most:
                break
            mapping[key] = member
            length += needed
        return mapping if len(mapping) == len(value) else {**mapping, DROPPED: len(value) - len(mapping)}, length
    if not isinstance(value, Sequence):
        return value, 8
    members: list[Any] = []
    for inner in islice(value, ATTRIBUTE_COUNT):
        member, needed = shortened(inner, items_of, most - length)
        if length + needed > most:
            break
        members.append(member)
        length += needed
    return members, length


def bounded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return as many of the redacted `attributes` as the limits allow; `DROPPED` counts the others."""
    result: dict[str, Any] = {}
    left = TOTAL_BYTES - len(DROPPED) - 8
    for key, value in attributes.items():
        needed = size(key) + _bytes(value)
        if len(result) < ATTRIBUTE_COUNT - 1 and needed <= left and key != DROPPED:
            result[key] = value
            left -= needed
    before = attributes.get(DROPPED, 0)
    dropped = len(attributes) - len(result) - (DROPPED in attributes) + (before if isinstance(before, int) else 0)
    return {**result, DROPPED: dropped} if dropped else result


def _bytes(value: Any) -> int:
    return size(value) if isinstance(value, str) else length_of(value) * (1 if isinstance(value, _PLAIN) else 4)
