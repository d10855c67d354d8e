"""Context from outside: what a request's `traceparent`, `tracestate` and `baggage` headers may decide."""

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import Link

from telemetry.config import IncomingContext

# They quote what a client sent, as often as it likes; a header that is not understood is no event here.
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
    """Baggage within what W3C asks everybody to take (https://www.w3.org/TR/baggage/#limits): 64 entries, 8192 bytes.

    Upstream takes 180 entries. Those beyond are left out; a longer header is left out as a whole.
    """

    _MAX_PAIRS = 64
    _MAX_HEADER_LENGTH = 8192


class IncomingContextReader:
    """Reads the headers that OTEL_PROPAGATORS names, as TELEMETRY_INCOMING_CONTEXT has it.

    - trust: the client's span becomes the parent, and with it goes whether the trace is sampled.
    - link: a new trace begins, with a link to the client's span; the client decides on nothing.
    - ignore: nothing is read.
    """

    def __init__(self, policy: IncomingContext) -> None:
        self._policy = policy
        self._propagator: TextMapPropagator | None = None
        self._headers: Sequence[str] = ()
        for name in _QUOTING_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)

    def read(self, environ: dict[str, Any]) -> tuple[Context, Sequence[Link]] | None:
        """Return the context in which the request's span starts, and its links; None where nothing came."""
        if self._policy == "ignore":
            return None
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._headers = [_variable(field) for field in propagator.fields]
            self._propagator = propagator
        if environ.keys().isdisjoint(self._headers):  # most requests bring nothing that a propagator reads
            return None
        context = propagator.extract(environ, Context(), _HEADERS)
        if self._policy == "trust":
            return context, ()
        theirs = trace.get_current_span(context).get_span_context()
        if not theirs.is_valid:
            return context, ()
        return trace.set_span_in_context(trace.INVALID_SPAN, context), (Link(theirs),)
