"""Incoming context: how far a request's `traceparent`, `tracestate` and `baggage` headers are trusted."""

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import Link

from telemetry.config import IncomingContext
from telemetry.recording.spans import REQUEST_KEY

# They log whatever a client sends, as often as it sends it; an invalid header is not worth a log record here.
_QUOTING_LOGGERS = (
    "opentelemetry.baggage.propagation",
    "opentelemetry.trace.propagation.tracecontext",
    "opentelemetry.trace.span",
)


def _variable(header: str) -> str:
    """Return the name of a header in a WSGI environment."""
    return f"HTTP_{header.upper().replace('-', '_')}"


class _Headers(Getter[dict[str, Any]]):
    """Finds headers in a WSGI environment."""

    def get(self, carrier: dict[str, Any], key: str) -> list[str] | None:
        value = carrier.get(_variable(key))
        return None if value is None else [value]

    def keys(self, carrier: dict[str, Any]) -> list[str]:
        return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]


_HEADERS = _Headers()


class BoundedBaggagePropagator(W3CBaggagePropagator):
    """Baggage within W3C's required minimum (https://www.w3.org/TR/baggage/#limits): 64 entries, 8192 bytes.

    Upstream takes 180 entries. Entries beyond the limit are dropped; a longer header is dropped as a whole.
    """

    _MAX_PAIRS = 64
    _MAX_HEADER_LENGTH = 8192


class IncomingContextReader:
    """Reads the headers of OTEL_PROPAGATORS as TELEMETRY_INCOMING_CONTEXT requires.

    - trust: the client's span becomes the parent, and its sampling decision applies.
    - link: a new trace begins, with a link to the client's span; the client decides nothing.
    - ignore: nothing is read.
    """

    def __init__(self, policy: IncomingContext) -> None:
        self._policy = policy
        self._propagator: TextMapPropagator | None = None
        self._headers: Sequence[str] = ()
        for name in _QUOTING_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)

    def read(self, environ: dict[str, Any], outer: Context) -> tuple[Context, Sequence[Link]] | None:
        """Return the context in which the request's span starts, and its links; None for an empty one.

        It is `outer` with what the headers add. They count for nothing if `outer` has a span, as of an application that
        serves this one.
        """
        around: tuple[Context, Sequence[Link]] | None = None
        if outer:
            around = outer, ()
            if trace.get_current_span(outer).get_span_context().is_valid:
                return around
        if self._policy == "ignore":
            return around
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._headers = [_variable(field) for field in propagator.fields]
            self._propagator = propagator
        if environ.keys().isdisjoint(self._headers):  # most requests have no header for a propagator
            return around
        context = propagator.extract(environ, around[0] if around else Context(), _HEADERS)
        if self._policy == "trust":
            return context, ()
        theirs = trace.get_current_span(context).get_span_context()
        if not theirs.is_valid:
            return context, ()
        return trace.set_span_in_context(trace.INVALID_SPAN, context), (Link(theirs),)


def is_left_over(context: Context) -> bool:
    """Return whether `context` is that of a request or a span that has ended, which nothing has detached.

    Outside of our requests, each span that does not record counts as ended: one that is not sampled looks the same.
    """
    request: Any = context.get(REQUEST_KEY)
    if request is not None:
        return bool(request.over)
    span = trace.get_current_span(context)
    return span.get_span_context().is_valid and not span.is_recording()
