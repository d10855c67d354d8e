"""The span, the duration and the active count of each request, with everything that Django logs of it inside.

Names and attributes are those of the contrib instrumentation of Django, and so is the scope. Other than its middleware:

- It starts after a host was accepted, since it asks for the absolute URL: a refused host has neither span nor metric.
- It ends before Django logs 4xx and 5xx, whose records then belong to no trace
  (https://github.com/open-telemetry/opentelemetry-python-contrib/issues/821).
- It writes Django's own route, regular expressions included, into span names and metrics.
- It marks a span as failed for an exception that is answered with 4xx.
- It costs a request a fraction of it.
"""

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from time import perf_counter
from typing import Any, ClassVar, cast

from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.utils.log import log_response
from opentelemetry import metrics, trace
from opentelemetry.context import attach, detach
from opentelemetry.semconv._incubating.metrics.http_metrics import create_http_server_active_requests
from opentelemetry.semconv.metrics.http_metrics import HTTP_SERVER_REQUEST_DURATION
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.http import detect_synthetic_user_agent

from telemetry.bound_metrics import BoundMetrics, Levels
from telemetry.incoming import IncomingContextReader
from telemetry.routes import OTHER_METHOD, known_method, matched_route
from telemetry.spans import Span, SpanSource, is_sampled

_SCOPE = "opentelemetry.instrumentation.django"
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

# Probes and scrapes; also left to themselves where a service answers them before this middleware.
UNTRACED_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

_LONGEST_ATTRIBUTE = 1024  # characters; servers limit a header to 8 KB or more
_LONGEST_PORT = 5  # digits


class RequestMiddleware:
    """Django's outermost middleware but for what answers probes."""

    incoming: ClassVar[IncomingContextReader]

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        scope = _SCOPE, version("opentelemetry-instrumentation-django")
        schema = Schemas.V1_21_0.value
        self._spans = SpanSource(trace.get_tracer(*scope, schema_url=schema))
        meter = metrics.get_meter(*scope, schema_url=schema)
        duration = meter.create_histogram(
            HTTP_SERVER_REQUEST_DURATION,
            "s",
            "Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._duration = BoundMetrics(duration, _measured)
        self._active = Levels(create_http_server_active_requests(meter), _active)
        got_request_exception.connect(_record_exception, dispatch_uid=__name__)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in UNTRACED_PATHS:
            return self._get_response(request)
        start = perf_counter()
        method = known_method(request)
        context, links = self.incoming.read(request.META)
        name = _span_name(method)
        span = self._spans.start(name, SpanKind.SERVER, _attributes(request.META, method), context, links)
        inside = trace.set_span_in_context(span, context)
        token = attach(inside)
        active = self._active.of(method).inside
        active.add(id(request))
        try:
            response = self._get_response(request)
            status = response.status_code
            if status >= HTTPStatus.BAD_REQUEST:
                # What Django's handler would do next, outside of the span; it does not log a response twice.
                told = cast("HttpResponse", response)
                log_response("%s: %s", told.reason_phrase, request.path, response=told, request=request)
            route = matched_route(request)
            if type(span) is Span:
                span.complete(f"{name} {route}" if route is not None else None, _answer(route, status))
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    span.set_status(StatusCode.ERROR)
            seconds = perf_counter() - start
            self._duration.of(method, route, status).record(seconds, inside, sampled=is_sampled(span))
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
            active.discard(id(request))
            detach(token)


def _answer(route: str | None, status: int) -> dict[str, Any]:
    """Return what the answer adds: the same words for the span and its duration, and no others."""
    attributes: dict[str, Any] = {"http.response.status_code": status}
    if route is not None:
        attributes["http.route"] = route
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attributes["error.type"] = str(status)
    return attributes


def _measured(method: str, route: str | None, status: int) -> dict[str, Any]:
    return {**_answer(route, status), "http.request.method": method}


def _active(method: str) -> dict[str, str]:
    return {"http.request.method": method}


def _span_name(method: str) -> str:
    """Return the method as the conventions want it in names.

    https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
    """
    return "HTTP" if method == OTHER_METHOD else method


def _attributes(environ: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return what is known of the request when its span starts, each value within a bound.

    The query string is not among it.
    """
    get = environ.get
    attributes: dict[str, Any] = {"http.request.method": method}
    if original := _other(get("REQUEST_METHOD", ""), method):
        attributes["http.request.method_original"] = original
    if scheme := get("wsgi.url_scheme"):
        attributes["url.scheme"] = scheme
    # On a Unix socket gunicorn takes it from the Host header, unchecked.
    if (port := _port(get("SERVER_PORT"))) is not None:
        attributes["server.port"] = port
    if host := get("HTTP_HOST"):
        attributes |= _server(host)
    if (get("RAW_URI") or get("REQUEST_URI")) and (path := get("PATH_INFO")):
        attributes["url.path"] = _bounded(path)
    if client := get("REMOTE_HOST") or get("REMOTE_ADDR"):
        attributes["client.address"] = _bounded(client)
    if (port := _port(get("REMOTE_PORT"))) is not None:
        attributes["client.port"] = port
    if agent := get("HTTP_USER_AGENT"):
        attributes |= _agent(agent)
    if protocol := get("SERVER_PROTOCOL", "").upper().removeprefix("HTTP/"):
        attributes["network.protocol.version"] = _bounded(protocol)
    return attributes


def _other(given: str, method: str) -> str:
    """Return the method as the client wrote it, nothing where it wrote what is told anyway."""
    return "" if given == method else _bounded(given.strip())


@lru_cache(maxsize=128)
def _server(host: str) -> dict[str, Any]:
    """Return the attributes of a Host header. A host that is not ours is only what somebody wrote."""
    domain, given = split_domain_port(host)
    if not validate_host(domain, settings.ALLOWED_HOSTS):
        return {}
    attributes: dict[str, Any] = {"server.address": _bounded(domain)}
    if (port := _port(given)) is not None:
        attributes["server.port"] = port
    return attributes


def _port(given: Any) -> int | None:
    """Return a port as WSGI servers and clients write it; None for what is none."""
    text = str(given)
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_PORT else None


@lru_cache(maxsize=256)
def _agent(agent: str) -> dict[str, str]:
    """Return the attributes of a User-Agent header."""
    synthetic = detect_synthetic_user_agent(agent)
    attributes = {"user_agent.original": _bounded(agent)}
    return {**attributes, "user_agent.synthetic.type": synthetic} if synthetic else attributes


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST_ATTRIBUTE else f"{text[: _LONGEST_ATTRIBUTE - 1]}…"


def _record_exception(**_: object) -> None:
    """Add the exception that Django is about to answer with a 500 to the request's span."""
    error = sys.exc_info()[1]
    if error is not None:
        trace.get_current_span().record_exception(error)
