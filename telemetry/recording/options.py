"""Optional parts of request recording: excluded URLs, response headers, and the view's name on the span.

A separate middleware, so that without these options no request pays for checking them.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter_ns
from typing import Any, ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from telemetry.config import TelemetryConfig
from telemetry.recording.journal import journal
from telemetry.recording.middleware import RequestMiddleware
from telemetry.recording.spans import RequestSpan

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
_REQUEST_ID_KEY = "HTTP_X_REQUEST_ID"


class OptionsMiddleware(RequestMiddleware):
    """The middleware with TELEMETRY_RESPONSE_HEADERS, TELEMETRY_VIEW_NAMES and excluded URLs."""

    excluded: ClassVar[re.Pattern[str] | None] = None
    headers: ClassVar[tuple[str, ...]] = ()
    view_names: ClassVar[bool] = False

    def __call__(self, request: HttpRequest) -> Any:
        if self.excluded is not None and request.path_info not in self._answers and self.excluded.search(_url(request)):
            return self._get_response(request)
        return super().__call__(request)

    def _begin(self, request: HttpRequest) -> RequestSpan | None:
        span = super()._begin(request)
        if span is not None and "x-request-id" in self.headers:
            given = request.META.get(_REQUEST_ID_KEY, "")
            if not _REQUEST_ID.fullmatch(given):
                given = f"{span.trace_id.hex()}-{span.span_id.hex()}"
            # The view sees the same value as the response and the span.
            request.META[_REQUEST_ID_KEY] = given
            span.set_attribute("http.request.header.x-request-id", (given,))
        return span

    def _answered(self, span: RequestSpan, request: HttpRequest, response: HttpResponseBase) -> None:
        try:
            for header in self.headers:
                _HEADERS[header](span, request, response)
        except Exception as problem:  # noqa: BLE001  (the response is sent as if telemetry were off)
            journal.failed("request", problem)
        super()._answered(span, request, response)

    def _end(
        self, span: RequestSpan, request: HttpRequest, status: int, error: BaseException | None, now: int = 0
    ) -> None:
        try:
            if self.view_names and (name := view_name(request)):
                span.set_attribute("code.function.name", name)
        except Exception as problem:  # noqa: BLE001
            journal.failed("request", problem)
        super()._end(span, request, status, error, now)


def options_of(config: TelemetryConfig) -> type[RequestMiddleware]:
    """Return the middleware that `config` requires."""
    if not (config.excluded_urls or config.response_headers or config.view_names):
        return RequestMiddleware
    OptionsMiddleware.excluded = re.compile("|".join(config.excluded_urls)) if config.excluded_urls else None
    OptionsMiddleware.headers = config.response_headers
    OptionsMiddleware.view_names = config.view_names
    return OptionsMiddleware


def view_name(request: HttpRequest) -> str | None:
    """Return the function that answers `request`, in the form of `code.function.name`; None if no route matches.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/
    """
    match = request.resolver_match
    return None if match is None else _name_of(match.func, (request.method or "").lower())


@lru_cache(maxsize=1024)
def _name_of(view: Callable[..., Any], method: str) -> str:
    """Return module and qualified name of a function view, or of the class-based view's handler of `method`."""
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if kind is None:
        named: Any = view if hasattr(view, "__qualname__") else type(view)
        return f"{named.__module__}.{named.__qualname__}"
    actions = getattr(view, "actions", None) or {}
    handler = actions.get(method, actions.get("get") if method == "head" else None) or method
    if not hasattr(kind, handler):
        handler = "get" if method == "head" and hasattr(kind, "get") else "dispatch"
    return f"{kind.__module__}.{kind.__qualname__}.{handler}"


def _url(request: HttpRequest) -> str:
    """Return scheme, host and path as requested; the host is unchecked."""
    host = request.META.get("HTTP_HOST") or request.META.get("SERVER_NAME", "")
    return f"{request.scheme}://{host}{request.path}"


def _traceparent(span: RequestSpan) -> str:
    return f"00-{span.trace_id.hex()}-{span.span_id.hex()}-{span.flags:02x}"


def _trace_response(span: RequestSpan, _: HttpRequest, response: HttpResponseBase) -> None:
    # https://www.w3.org/TR/trace-context-2/#traceresponse-header
    response["traceresponse"] = _traceparent(span)


def _server_timing(span: RequestSpan, _: HttpRequest, response: HttpResponseBase) -> None:
    """Append duration and trace to the service's own timings; scripts of the same origin can read them."""
    spent = (perf_counter_ns() - span.started) / 1e6
    ours = f'total;dur={spent:.1f}, traceparent;desc="{_traceparent(span)}"'
    theirs = response.get("Server-Timing")
    response["Server-Timing"] = f"{theirs}, {ours}" if theirs else ours


def _request_id(_: RequestSpan, request: HttpRequest, response: HttpResponseBase) -> None:
    response["X-Request-ID"] = request.META[_REQUEST_ID_KEY]


_HEADERS: dict[str, Callable[[RequestSpan, HttpRequest, Any], None]] = {
    "traceresponse": _trace_response,
    "server-timing": _server_timing,
    "x-request-id": _request_id,
}
