"""The span, the duration and the active count of each request, with everything that Django logs of it inside.

Stands in for the middleware of the contrib instrumentation, whose hooks reach none of these:

- It starts after a host was accepted, since it asks for the absolute URL: a refused host has neither span nor metric.
- It ends before Django logs 4xx and 5xx, whose records then belong to no trace
  (https://github.com/open-telemetry/opentelemetry-python-contrib/issues/821).
- It writes Django's own route, regular expressions included, into span names and metrics.
- It marks a span as failed for an exception that is answered with 4xx.

The instruments are those of the instrumentation.
"""

import sys
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter
from typing import Any, ClassVar, cast

from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.utils.log import log_response
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.instrumentation._semconv import _StabilityMode
from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
from opentelemetry.instrumentation.wsgi import collect_request_attributes
from opentelemetry.metrics import Histogram, UpDownCounter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from telemetry.incoming import IncomingContextReader
from telemetry.routes import OTHER_METHOD, known_method, matched_route

# Probes and scrapes; also left to themselves where a service answers them before this middleware.
UNTRACED_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

_LONGEST_ATTRIBUTE = 1024  # characters; servers limit a header to 8 KB or more
_LONGEST_PORT = 5  # digits


class RequestMiddleware:
    """Django's outermost middleware but for what answers probes."""

    incoming: ClassVar[IncomingContextReader]

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        # As the instrumentor made them, in the instrumentation's own scope.
        made: Any = _DjangoMiddleware
        self._tracer: Tracer = made._tracer  # noqa: SLF001
        self._duration: Histogram = made._duration_histogram_new  # noqa: SLF001
        self._active: UpDownCounter = made._active_request_counter  # noqa: SLF001
        got_request_exception.connect(_record_exception, dispatch_uid=__name__)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in UNTRACED_PATHS:
            return self._get_response(request)
        start = perf_counter()
        method = known_method(request)
        context, links = self.incoming.read(request.META)
        span = self._tracer.start_span(_span_name(method), context, SpanKind.SERVER, _attributes(request), links)
        token = attach(trace.set_span_in_context(span, context))
        active = {"http.request.method": method}
        self._active.add(1, active)
        try:
            response = self._get_response(request)
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                # What Django's handler would do next, outside of the span; it does not log a response twice.
                told = cast("HttpResponse", response)
                log_response("%s: %s", told.reason_phrase, request.path, response=told, request=request)
            attributes = _describe_answer(span, method, matched_route(request), response.status_code)
            self._duration.record(perf_counter() - start, attributes)
            span.end()
        except Exception as error:  # DEBUG_PROPAGATE_EXCEPTIONS
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            span.end()
            raise
        else:
            return response
        finally:
            # A worker that is aborted (SystemExit) leaves no span, as it leaves no access record and no count.
            self._active.add(-1, active)
            detach(token)


def _describe_answer(span: Span, method: str, route: str | None, status: int) -> dict[str, Any]:
    """Complete the span and return the attributes of its duration: the same words, and no others."""
    attributes: dict[str, Any] = {"http.response.status_code": status}
    if route is not None:
        attributes["http.route"] = route
        span.update_name(f"{_span_name(method)} {route}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attributes["error.type"] = str(status)
        span.set_status(StatusCode.ERROR)
    span.set_attributes(attributes)
    attributes["http.request.method"] = method
    return attributes


def _span_name(method: str) -> str:
    """Return the method as the conventions want it in names.

    https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
    """
    return "HTTP" if method == OTHER_METHOD else method


def _attributes(request: HttpRequest) -> dict[str, Any]:
    """Return what is known of the request when its span starts, each value within a bound."""
    attributes = collect_request_attributes(request.META, _StabilityMode.HTTP)
    attributes["http.request.method"] = known_method(request)
    # https://github.com/open-telemetry/opentelemetry-python-contrib/issues/2992
    attributes.pop("url.query", None)
    # Upstream takes the whole header for the address and the server's own port for the client's. A host that is not
    # ours is only what somebody wrote.
    host = attributes.pop("server.address", None)
    if host:
        domain, port = split_domain_port(host)
        if validate_host(domain, settings.ALLOWED_HOSTS):
            attributes["server.address"] = domain
            if port and len(port) <= _LONGEST_PORT:
                attributes["server.port"] = int(port)
    return {key: _bounded(value) for key, value in attributes.items()}


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_ATTRIBUTE:
        return f"{value[: _LONGEST_ATTRIBUTE - 1]}…"
    return value


def _record_exception(**_: object) -> None:
    """Add the exception that Django is about to answer with a 500 to the request's span."""
    error = sys.exc_info()[1]
    if error is not None:
        trace.get_current_span().record_exception(error)
