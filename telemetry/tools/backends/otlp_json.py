"""Spans as Tempo and Jaeger return them: OTLP's JSON, whose ids are hex or, in some versions, base64."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TRACE_ID_DIGITS = 32
_SPAN_ID_DIGITS = 16
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span that a backend keeps. Ids are lower-case hex, `start_ns` is in nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    name: str
    kind: str
    start_ns: int
    service: str
    mode: str


def spans_of(resource_spans: Iterable[Mapping[str, Any]]) -> Iterator[StoredSpan]:
    """Decode each span of `resourceSpans`; raises ValueError, KeyError or TypeError for anything but OTLP."""
    for group in resource_spans:
        attributes = group.get("resource", {}).get("attributes", ())
        texts = {one["key"]: one.get("value", {}).get("stringValue", "") for one in attributes}
        for scope in group.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield StoredSpan(
                    trace_id=_hex_id(span["traceId"], _TRACE_ID_DIGITS),
                    span_id=_hex_id(span["spanId"], _SPAN_ID_DIGITS),
                    name=str(span.get("name", "")),
                    kind=_kind(span.get("kind", 0)),
                    start_ns=int(span.get("startTimeUnixNano", 0)),
                    service=texts.get("service.name", ""),
                    mode=texts.get("export.mode", ""),
                )


def _hex_id(text: str, digits: int) -> str:
    """Return an id as `digits` hex digits; raises ValueError."""
    if len(text) == digits:
        return text.lower()
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error as error:
        raise ValueError(f"{text!r} is not an id: {error}") from None


def _kind(kind: int | str) -> str:
    if isinstance(kind, str):
        return kind.removeprefix("SPAN_KIND_").lower()
    return _KINDS[kind] if 0 <= kind < len(_KINDS) else str(kind)
