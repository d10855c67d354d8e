"""Spans as Tempo and Jaeger return them: OTLP's JSON, whose ids are hex or, in some versions, base64."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TRACE_ID_DIGITS = 32
_SPAN_ID_DIGITS = 16
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")

Value = str | bool | int | float | list[Any] | dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span that a backend keeps. Ids are lower-case hex, times are nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty for a root."""
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]

    @property
    def service(self) -> str:
        return str(self.resource.get("service.name", ""))

    @property
    def mode(self) -> str:
        return str(self.resource.get("export.mode", ""))


def spans_of(resource_spans: Iterable[Mapping[str, Any]]) -> Iterator[StoredSpan]:
    """Decode each span of `resourceSpans`; raises ValueError, KeyError or TypeError for anything but OTLP."""
    for group in resource_spans:
        resource = attributes_of(group.get("resource", {}).get("attributes", ()))
        for scope in group.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield StoredSpan(
                    trace_id=hex_id(span["traceId"], _TRACE_ID_DIGITS),
                    span_id=hex_id(span["spanId"], _SPAN_ID_DIGITS),
                    parent_id=hex_id(span.get("parentSpanId", ""), _SPAN_ID_DIGITS),
                    name=str(span.get("name", "")),
                    kind=_kind(span.get("kind", 0)),
                    start_ns=int(span.get("startTimeUnixNano", 0)),
                    end_ns=int(span.get("endTimeUnixNano", 0)),
                    attributes=attributes_of(span.get("attributes", ())),
                    resource=resource,
                )


def hex_id(text: str, digits: int) -> str:
    """Return an id as `digits` hex digits (an empty one as it is); raises ValueError."""
    if not text or len(text) == digits:
        return text.lower()
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error as error:
        raise ValueError(f"{text!r} is not an id: {error}") from None


def attributes_of(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    """Return OTLP's list of keys and values as a dict."""
    return {str(pair["key"]): _value(pair.get("value", {})) for pair in pairs}


def _value(value: Mapping[str, Any]) -> Value:
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [_value(item) for item in content.get("values", ())]
        if kind == "kvlistValue":
            return attributes_of(content.get("values", ()))
        plain: Value = content
        return plain
    return None


def _kind(kind: int | str) -> str:
    if isinstance(kind, str):
        return kind.removeprefix("SPAN_KIND_").lower()
    return _KINDS[kind] if 0 <= kind < len(_KINDS) else str(kind)
