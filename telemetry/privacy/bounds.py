"""How long a text may be that leaves the process, and how a cut one says so.

Lengths are in bytes of UTF-8, as the backends count them: Loki refuses a line with more than 64 KB of structured
metadata, which is what a record's attributes become there, or with more than 128 entries
(https://grafana.com/docs/loki/latest/configure/#limits_config).
"""

TEXT_BYTES = 4 * 1024
"""An attribute, a name, a status description."""
BODY_BYTES = 8 * 1024
"""A log record's body."""
STACK_BYTES = 16 * 1024
"""A stack trace; its end, which names the error, is kept."""
TOTAL_BYTES = 32 * 1024
"""Names and values of all attributes of one span, event, link or log record."""
ATTRIBUTE_COUNT = 64
"""Attributes of one span, event, link or log record, and values of one list."""

_WIDEST_CHARACTER = 4
_HEAD_SHARE = 0.25


def size(text: str) -> int:
    """Return the number of bytes of `text` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def encodable(text: str) -> str:
    """Return `text` with question marks for lone surrogates, which neither OTLP nor JSON can carry."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def cut(text: str, limit: int, length: int | None = None) -> str:
    """Return `text`, or its beginning with a note where it has more than `limit` bytes.

    `length` is the number of characters to tell where `text` itself is not all there was.
    """
    if length is None:
        if len(text) * _WIDEST_CHARACTER <= limit or size(text) <= limit:
            return text
        length = len(text)
    note = f"... [cut, {length} characters]"
    return _beginning(text, limit - len(note)) + note


def cut_middle(text: str, limit: int, length: int | None = None) -> str:
    """Return `text`, or its beginning and its end with a note between them where it has more than `limit` bytes."""
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
