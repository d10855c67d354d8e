"""Attributes as they leave: redacted, within OpenTelemetry's limits, and encoded.

Most attributes of a span or a log record are those of many others: what was made of them is kept. Those whose value
depends on the others, and long ones, go through the redactor each time.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any

from opentelemetry.sdk.trace import SpanLimits

from telemetry.exporting.encoding import Encoded, encode_attributes
from telemetry.exporting.encoding.logs import ATTRIBUTE as LOG_ATTRIBUTE
from telemetry.exporting.encoding.spans import ATTRIBUTE as SPAN_ATTRIBUTE
from telemetry.privacy import Redactor
from telemetry.privacy.keys import Policy, policy_of

_MOST_KNOWN = 4096
_LONGEST = 256  # characters of a text that is kept
_MOST_ATTRIBUTES = 32  # of an item whose bounds need no look
_BESIDE = frozenset({Policy.PATH, Policy.SQL})
_INT64 = 2**63
_double = Struct("<d").pack


class _Attributes:
    """Attributes of one kind of item, whose field has `tag`."""

    def __init__(self, redactor: Redactor, tag: bytes) -> None:
        self._redactor = redactor
        self._tag = tag
        self._known: dict[tuple[str, Any, type], bytes] = {}
        self._numbers: dict[str, bytes | None] = {}
        """For each key what comes before a floating-point number; None where the key hides its value."""

    def encoded(self, attributes: Mapping[str, Any]) -> Encoded:
        """Return `attributes` without secrets, as they are sent."""
        if len(attributes) > _MOST_ATTRIBUTES or self._redactor.strict:
            return self._whole(attributes)
        parts = []
        known = self._known
        for key, value in attributes.items():
            kind = value.__class__
            if kind is float:
                before = self._before(key)
                part = None if before is None or value - value else before + _double(value)
            else:
                part = known.get((key, value, kind)) if kind in _KEPT else None
                if part is None:
                    part = self._new(key, value, kind, attributes)
            if part is None:
                return self._whole(attributes)
            parts.append(part)
        return Encoded(b"".join(parts))

    def _whole(self, attributes: Mapping[str, Any]) -> Encoded:
        return encode_attributes(self._tag, self._redactor.attributes(attributes))

    def _new(self, key: Any, value: Any, kind: type, beside: Mapping[str, Any]) -> bytes | None:
        """Return what becomes of an attribute; None where all have to be looked at together."""
        if key.__class__ is not str or kind not in _KEPT or (kind is str and len(value) > _LONGEST):
            return None
        policy = policy_of(key)
        if policy is Policy.KEEP and kind is int and -_INT64 <= value < _INT64:
            return bytes(encode_attributes(self._tag, {key: value}))  # ports, which differ from request to request
        if policy in _BESIDE:
            return bytes(encode_attributes(self._tag, {key: self._redactor.value(key, value, beside)}))
        part = bytes(self._whole({key: value}))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key, value, kind] = part
        return part

    def _before(self, key: str) -> bytes | None:
        if key not in self._numbers:
            if len(self._numbers) >= _MOST_KNOWN:
                self._numbers.clear()
            sample = self._redactor.attributes({key: 0.5})
            plain = sample == {key: 0.5}
            self._numbers[key] = bytes(encode_attributes(self._tag, sample))[: -len(_double(0.5))] if plain else None
        return self._numbers[key]


_KEPT = frozenset({str, int, bool})


def _path(path: str, route: str | None) -> tuple[str, str, dict[str, Any]]:
    return "url.path", path, {} if route is None else {"http.route": route}


class Limited:
    """Attributes of spans, within OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and ..._VALUE_LENGTH_LIMIT, and of log records."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._spans = _Attributes(redactor, SPAN_ATTRIBUTE)
        self._logs = _Attributes(redactor, LOG_ATTRIBUTE)
        limits = SpanLimits()
        self._most = limits.max_span_attributes
        self._longest = limits.max_span_attribute_length

    @property
    def has_room(self) -> bool:
        """Whether the attributes that requests have by themselves are within the limits, and none goes."""
        fits = self._most is None or self._most >= _MOST_ATTRIBUTES
        return fits and self._longest is None and not self._redactor.strict

    def of_request(self, path: str | None, port: int | None, route: str | None) -> bytes:
        """Return the attributes that differ from request to request: `url.path` and `client.port`."""
        named: dict[str, Any] = {} if path is None else {"url.path": self._redactor.value(*_path(path, route))}
        if port is not None:
            named["client.port"] = port
        return encode_attributes(SPAN_ATTRIBUTE, named)

    def of_span(self, attributes: Mapping[str, Any]) -> tuple[Encoded, int]:
        """Return a span's attributes without secrets, and how many were dropped."""
        dropped = 0
        if self._most is not None and len(attributes) > self._most:
            dropped = len(attributes) - self._most
            attributes = dict(list(attributes.items())[dropped:])  # the oldest go, as in the SDK
        if (longest := self._longest) is not None:
            attributes = {
                key: value[:longest] if isinstance(value, str) else value for key, value in attributes.items()
            }
        return self._spans.encoded(attributes), dropped

    def of_log(self, attributes: Mapping[str, Any]) -> Encoded:
        """Return a log record's attributes without secrets."""
        return self._logs.encoded(attributes)
