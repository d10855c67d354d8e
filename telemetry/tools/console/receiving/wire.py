"""Protobuf messages taken apart on the wire, so that what they hold is decoded record by record.

Decoding a request as a whole can take a hundred times its size: two bytes make an empty span of 170 in memory.
"""

from collections.abc import Collection

from google.protobuf.message import DecodeError

_VARINT, _BYTES = 0, 2
_LENGTHS = {1: 8, 5: 4}
_LONGEST_VARINT = 10


class TooLargeError(Exception):
    """A message holds more than may be decoded; the text says which bound it exceeds."""


class Splitter:
    """Takes one request apart: at most `parts` parts at all levels, and `rest_bytes` of anything else at each."""

    def __init__(self, parts: int, rest_bytes: int) -> None:
        self._parts = parts
        self._left = parts
        self._rest_bytes = rest_bytes

    def split(self, message: memoryview, numbers: Collection[int]) -> tuple[bytes, list[tuple[int, memoryview]]]:
        """The embedded messages in the fields with these numbers, in order; and the message without them.

        Raises DecodeError if the message is malformed, TooLargeError if it exceeds a bound.
        """
        rest = bytearray()
        parts: list[tuple[int, memoryview]] = []
        position, end = 0, len(message)
        while position < end:
            begin = position
            tag, position = _varint(message, position)
            kind = tag & 7
            length = _LENGTHS.get(kind, 0)
            if kind in {_BYTES, _VARINT}:
                length, position = _varint(message, position)
            elif not length:
                raise DecodeError(f"wire type {kind} is not supported")
            body = position
            if kind != _VARINT:
                position += length
            if position > end:
                raise DecodeError("a field is cut short")
            if kind == _BYTES and tag >> 3 in numbers:
                self._left -= 1
                if self._left < 0:
                    raise TooLargeError(f"the message holds more than {self._parts} records")
                parts.append((tag >> 3, message[body:position]))
            else:
                rest += message[begin:position]
                if len(rest) > self._rest_bytes:
                    raise TooLargeError(f"a resource, scope or metric is larger than {self._rest_bytes} bytes")
        return bytes(rest), parts


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = shift = 0
    for index in range(position, min(position + _LONGEST_VARINT, len(message))):
        byte = message[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 (the last byte has no continuation bit)
            return value, index + 1
        shift += 7
    raise DecodeError("a number is cut short")
