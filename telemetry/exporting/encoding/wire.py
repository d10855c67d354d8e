"""Protobuf's wire format: https://protobuf.dev/programming-guides/encoding/.

A field is a tag (its number and wire type) and a value; values of variable length (texts, bytes, messages) are prefixed
with it. Fields of a message may come in any order, and those with their default value are left out.
"""

from functools import lru_cache

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_BITS = 7
_MORE = 1 << _BITS
_LONGEST = 2**64


def varint(number: int) -> bytes:
    """Return `number` with 7 bits per byte, lowest first; raises ValueError unless it fits into 64 bits."""
    if not 0 <= number < _LONGEST:
        raise ValueError(f"{number} does not fit into 64 bits")
    if number < _SHORT_COUNT:
        return _SHORT[number]
    return _varint(number)


def _varint(number: int) -> bytes:
    # Nearly all lengths and ports take two or three bytes, which need no loop.
    if _MORE <= number < _MORE << _BITS:
        return bytes((number & _MORE - 1 | _MORE, number >> _BITS))
    if _MORE << _BITS <= number < _MORE << 2 * _BITS:
        return bytes((number & _MORE - 1 | _MORE, number >> _BITS & _MORE - 1 | _MORE, number >> 2 * _BITS))
    data = bytearray()
    while number >= _MORE:
        data.append(number & _MORE - 1 | _MORE)
        number >>= _BITS
    data.append(number)
    return bytes(data)


_SHORT_COUNT = 1024
_SHORT = [_varint(number) for number in range(_SHORT_COUNT)]


def tag(number: int, kind: int) -> bytes:
    """Return the tag of the field `number` with the wire type `kind`."""
    return _varint(number << 3 | kind)


def field(tag: bytes, content: bytes) -> bytes:
    """Return the field with `tag` (of the kind BYTES) and `content`."""
    length = len(content)
    return tag + (_SHORT[length] if length < _SHORT_COUNT else _varint(length)) + content


def text(tag: bytes, content: str | None) -> bytes:
    """Return the field with `tag` and `content`, nothing if empty; lone surrogates become question marks."""
    return field(tag, utf8(content)) if content else b""


known_text = lru_cache(maxsize=256)(text)
"""`text` for recurring texts."""


def utf8(content: str) -> bytes:
    """Return `content` in UTF-8; lone surrogates, invalid there, become question marks."""
    try:
        return content.encode()
    except UnicodeEncodeError:
        return content.encode(errors="replace")


def count(tag: bytes, number: int) -> bytes:
    """Return the field with `tag` (of the kind VARINT) and `number`, nothing for zero."""
    return tag + varint(number) if number else b""
