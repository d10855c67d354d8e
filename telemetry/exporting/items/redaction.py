"""Attributes for export: redacted, within OpenTelemetry's limits, and encoded.

Most attributes recur in many spans or log records, so their results are cached. Long ones, and those whose redaction
depends on other attributes, go through the redactor each time.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from telemetry.config.limits import LimitsConfig
from telemetry.exporting.encoding import encode_attributes
from telemetry.exporting.encoding.logs import ATTRIBUTE as LOG_ATTRIBUTE
from telemetry.exporting.encoding.spans import ATTRIBUTE as SPAN_ATTRIBUTE
from telemetry.exporting.encoding.wire import varint
from telemetry.exporting.items.request_spans import port_of
from telemetry.privacy import Redactor
from telemetry.privacy.bounds import TEXT_BYTES
from telemetry.privacy.keys import Policy, policy_of
from telemetry.privacy.values import shown_path

_MOST_KNOWN = 4096
_LONGEST = 256  # characters of a cached text
_MOST_ATTRIBUTES = 32  # of an item whose limits need no check
_BESIDE = frozenset({Policy.PATH, Policy.SQL})
_INT64 = 2**63
_MOST_REPEATED = 999  # recurring integers are HTTP status codes
_double = Struct("<d").pack


class _Attributes:
    """The attributes of one kind of item, whose attribute field has `tag`."""

    def __init__(self, redactor: Redactor, tag: bytes) -> None:
        self._redactor = redactor
        self._tag = tag
        self._known: dict[tuple[str, Any, type], bytes] = {}
        self._numbers: dict[str, bytes | None] = {}
        """By key, the encoding that precedes a floating-point number; None if the key's value is redacted."""

    def encoded(self, attributes: Mapping[str, Any]) -> bytes:
        """Return `attributes` redacted and encoded."""
        if len(attributes) > _MOST_ATTRIBUTES or self._redactor.strict:
            return self._whole(attributes)
        parts = []
        known = self._known
        for key, value in attributes.items():
            kind = type(value)
            if kind is float:
                before = self._numbers[key] if key in self._numbers else self._before(key)
                part = None if before is None or value - value else before + _double(value)
            else:
                part = known.get((key, value, kind)) if kind in _KEPT else None
                if part is None:
                    part = self._new(key, value, kind, attributes)
            if part is None:
                return self._whole(attributes)
            parts.append(part)
        return b"".join(parts)

    def _whole(self, attributes: Mapping[str, Any]) -> bytes:
        return encode_attributes(self._tag, self._redactor.attributes(attributes))

    def _new(self, key: Any, value: Any, kind: type, beside: Mapping[str, Any]) -> bytes | None:
        """Return an attribute encoded; None if all attributes must be redacted together."""
        if type(key) is not str or kind not in _KEPT or (kind is str and len(value) > _LONGEST):
            return None
        policy = policy_of(key)
        if policy is Policy.KEEP and kind is int and _MOST_REPEATED < value < _INT64:
            return encode_attributes(self._tag, {key: value})  # not cached: ports differ from request to request
        if policy in _BESIDE:
            return encode_attributes(self._tag, {key: self._redactor.value(key, value, beside)})
        part = self._whole({key: value})
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key, value, kind] = part
        return part

    def _before(self, key: str) -> bytes | None:
        if len(self._numbers) >= _MOST_KNOWN:
            self._numbers.clear()
        sample = self._redactor.attributes({key: 0.5})
        before = encode_attributes(self._tag, sample)[: -len(_double(0.5))] if sample == {key: 0.5} else None
        self._numbers[key] = before
        return before


_KEPT = frozenset({str, int, bool})


def _latest(attributes: Mapping[str, Any], most: int) -> tuple[Mapping[str, Any], int]:
    """Return the last `most` attributes, and how many were dropped: the oldest, as in the SDK."""
    dropped = len(attributes) - most
    return (dict(list(attributes.items())[dropped:]), dropped) if dropped > 0 else (attributes, 0)


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value[:longest]
    if isinstance(value, (list, tuple)):
        return tuple(_cut(each, longest) for each in value)
    return value


# The encoding that precedes a port, by the length of its varint.
_BEFORE_PORT = {
    length: encode_attributes(SPAN_ATTRIBUTE, {"client.port": port})[:-length]
    for length, port in ((1, 1), (2, 1 << 7), (3, 1 << 14))
}


@lru_cache(maxsize=TEXT_BYTES)
def _before_path(length: int) -> bytes:
    """Return the encoding that precedes a path of `length` bytes."""
    return encode_attributes(SPAN_ATTRIBUTE, {"url.path": "/" * length})[:-length]


class Limited:
    """Attributes of spans, their events and links, and of log records, within the standard limits.

    A value is truncated after redaction, as a truncated secret would not be recognised.
    """

    def __init__(self, redactor: Redactor, limits: LimitsConfig) -> None:
        self._redactor = redactor
        self._spans = _Attributes(redactor, SPAN_ATTRIBUTE)
        self._logs = _Attributes(redactor, LOG_ATTRIBUTE)
        self.limits = limits
        # Nearly every item needs these.
        unlimited = limits.span_attribute_length is None
        self.has_room = limits.span_attribute_count >= _MOST_ATTRIBUTES and unlimited and not redactor.strict
        """Whether the built-in attributes of requests are within the limits, so that none is dropped."""
        self._plain_span = limits.span_attribute_count if unlimited else -1
        self._plain_log = limits.log_attribute_count if limits.log_attribute_length is None else -1

    @staticmethod
    def of_request(path: str, client_port: str, route: str | None) -> bytes:
        """Return the attributes that differ from request to request: `url.path` and `client.port`."""
        encoded = b""
        if (port := port_of(client_port)) is not None:
            number = varint(port)
            encoded = _BEFORE_PORT[len(number)] + number
        if path:
            shown = shown_path(path, route or "").encode()
            encoded += _before_path(len(shown)) + shown
        return encoded

    def of_span(self, attributes: Mapping[str, Any]) -> tuple[bytes, int]:
        """Return a span's redacted attributes, and how many were dropped."""
        if len(attributes) <= self._plain_span:
            return self._spans.encoded(attributes), 0
        attributes, dropped = _latest(attributes, self.limits.span_attribute_count)
        if (longest := self.limits.span_attribute_length) is not None:
            return encode_attributes(SPAN_ATTRIBUTE, self._shortened(attributes, longest)), dropped
        return self._spans.encoded(attributes), dropped

    def of_event(self, attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
        """Return an event's redacted attributes, and how many were dropped."""
        return self._inside(attributes, self.limits.event_attribute_count)

    def of_link(self, attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
        """Return a link's redacted attributes, and how many were dropped."""
        return self._inside(attributes, self.limits.link_attribute_count)

    def of_log(self, attributes: Mapping[str, Any]) -> tuple[bytes, int]:
        """Return a log record's redacted attributes, and how many were dropped."""
        if len(attributes) <= self._plain_log:
            return self._logs.encoded(attributes), 0
        attributes, dropped = _latest(attributes, self.limits.log_attribute_count)
        if (longest := self.limits.log_attribute_length) is not None:
            return encode_attributes(LOG_ATTRIBUTE, self._shortened(attributes, longest)), dropped
        return self._logs.encoded(attributes), dropped

    def _inside(self, attributes: Mapping[str, Any], most: int) -> tuple[Mapping[str, Any], int]:
        attributes, dropped = _latest(attributes, most)
        if (longest := self.limits.attribute_length) is not None:
            return self._shortened(attributes, longest), dropped
        return self._redactor.attributes(attributes), dropped

    def _shortened(self, attributes: Mapping[str, Any], longest: int) -> dict[str, Any]:
        return {key: _cut(value, longest) for key, value in self._redactor.attributes(attributes).items()}
