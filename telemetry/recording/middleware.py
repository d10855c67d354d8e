"""One record for each request: its span, its duration, and the queries and log records within it, Django's included.

The exporter gives spans and metrics the names and attributes of the contrib instrumentation of Django. Unlike contrib's
middleware, this one:

- starts before the host is checked, so that a rejected host gets a span and a metric, too.
- ends after Django has logged 4xx and 5xx, whose log records otherwise belong to no trace
  (https://github.com/open-telemetry/opentelemetry-python-contrib/issues/821).
- names routes by templates, without regular expressions.
- does not mark a span as failed for an exception that results in a 4xx.
- costs a request a fraction of the time.
"""

import sys
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from time import perf_counter_ns
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core import mail
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.log import log_response
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanKind

from telemetry.answers import Within, is_streamed, when_over
from telemetry.journal.records import METHODS, OTHER_METHOD, REQUEST
from telemetry.recording.environ import environ_of
from telemetry.recording.incoming import IncomingContextReader, is_left_over
from telemetry.recording.journal import journal
from telemetry.recording.spans import REQUEST_KEY, RequestSpan, decide
from telemetry.routes import known_method, matched_route

_BAD_REQUEST = HTTPStatus.BAD_REQUEST.value

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
View = Callable[[HttpRequest], HttpResponseBase]


# The API's key, for setting the span as `set_span_in_context` does, without copying an empty context.
(_CURRENT_SPAN,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())


class Process(Protocol):
    """The recording of this process, as the middleware needs it."""

    def begin(self) -> None:
        """Begin to record, unless this process already does."""


class RequestMiddleware:
    """Django's outermost middleware, except for the one that answers probes; sync and async."""

    sync_capable = True
    async_capable = True
    incoming: ClassVar[IncomingContextReader]
    sampler: ClassVar[Sampler | None] = None
    """None if every trace that begins here is sampled."""
    process: ClassVar[Process]
    untraced: ClassVar[Collection[str]] = frozenset()
    """Paths that are not recorded."""

    def __init__(self, get_response: GetResponse, answers: Mapping[str, View] = MappingProxyType({})) -> None:
        """`answers` maps paths to views that answer them here, before any other middleware."""
        self._get_response = get_response
        self._answers = answers
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        got_request_exception.connect(_record_failure, dispatch_uid=__name__)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._respond(request)
        if request.path_info in self.untraced:
            return self._answers.get(request.path_info, self._get_response)(request)
        span = self._begin(request)
        if span is None:
            return self._get_response(request)
        try:
            response: Any = self._get_response(request)
            if response.status_code >= _BAD_REQUEST:
                _log(request, response)
        except (SystemExit, KeyboardInterrupt):  # an aborted worker: no record, just as no access record and no count
            self._drop(span)
            raise
        except BaseException as error:  # DEBUG_PROPAGATE_EXCEPTIONS, and what Django does not answer: gevent.Timeout
            self._end(span, request, 0, error)
            raise
        self._answered(span, request, response)
        return response

    async def _respond(self, request: HttpRequest) -> HttpResponseBase:
        get_response = cast("Callable[[HttpRequest], Awaitable[HttpResponseBase]]", self._get_response)
        if request.path_info in self._answers:
            return await sync_to_async(self._answers[request.path_info], thread_sensitive=False)(request)
        span = None if request.path_info in self.untraced else self._begin(request)
        if span is None:
            return await get_response(request)
        status = 0
        try:
            response = await get_response(request)
            status = response.status_code
            if status >= _BAD_REQUEST:  # in a thread, as Django does: a handler may send mail
                await sync_to_async(_log, thread_sensitive=False)(request, response)
        except BaseException as error:  # also a cancelled request, whose client disconnected
            self._end(span, request, status, error)
            raise
        self._answered(span, request, response)
        return response

    def _begin(self, request: HttpRequest) -> RequestSpan | None:
        """Begin the request's span; return None if that fails: the request goes on as if telemetry were off."""
        try:
            if journal.ring is None and not is_tested(request.META.get("SERVER_NAME")):
                self.process.begin()
            span = RequestSpan(known_method(request))
            outer = get_current()
            if outer:
                if is_left_over(outer):
                    outer = Context()
                elif not is_instrumentation_enabled():
                    return None
            around = self.incoming.read(request.META, outer)
            if around is None and self.sampler is None:
                context = Context({_CURRENT_SPAN: span, REQUEST_KEY: span})
            else:
                context, links = around or (Context(), ())
                self._place(span, context, links)
                context = Context({**context, _CURRENT_SPAN: span, REQUEST_KEY: span})
            if journal.ring is not None:
                journal.ring.enter(METHODS[span.method])
                span.is_counted = True
            span.context = context
            span.token = attach(context)
        except Exception as error:  # noqa: BLE001
            journal.failed("request", error)
            return None
        return span

    def _place(self, span: RequestSpan, context: Context, links: Any) -> None:
        """Give `span` the request's incoming parent, and apply the sampler."""
        parent = trace.get_current_span(context).get_span_context()
        if parent.is_valid:
            span.trace_id, span.parent_id = parent.trace_id.to_bytes(16), parent.span_id.to_bytes(8)
            span.parent_is_remote = parent.is_remote
            span.flags, span.trace_state = parent.trace_flags, parent.trace_state
        if self.sampler is not None:
            span.flags, state = decide(
                self.sampler, context, span.trace_id, _span_name(span.method), SpanKind.SERVER, links
            )
            span.trace_state = state or span.trace_state
            if parent.is_valid and not parent.trace_flags.random_trace_id:
                span.flags &= ~trace.TraceFlags.RANDOM_TRACE_ID
        for link in links:
            span.add_link(link.context, link.attributes)

    def _drop(self, span: RequestSpan) -> None:
        span.over = span.ended = True
        detach(span.token)
        try:
            if span.is_counted and journal.ring is not None:
                journal.ring.leave(METHODS[span.method])
        except Exception as error:  # noqa: BLE001
            journal.failed("request", error)

    def _answered(self, span: RequestSpan, request: HttpRequest, response: HttpResponseBase) -> None:
        """Finish a request whose response is ready; a streamed response finishes it at its end."""
        status = response.status_code
        try:
            if is_streamed(response):
                over = partial(self._end, span, request, status)
                when_over(response, over, _resuming(cast("Context", span.context)))
                detach(span.token)
                span.token = None
                return
        except Exception as problem:  # noqa: BLE001
            journal.failed("request", problem)
        self._end(span, request, status, None)

    def _end(
        self, span: RequestSpan, request: HttpRequest, status: int, error: BaseException | None, now: int = 0
    ) -> None:
        """Leave the request's context and write its record; never raises. `status` is 0 without a response.

        `now` is the time of its end if it is over already.
        """
        if span.token is not None:  # None: the chunks of a streamed response attach their own contexts
            detach(span.token)
        span.context = None  # breaks a reference cycle with the span, sparing the garbage collector
        try:
            now = now or perf_counter_ns()
            if error is not None and status:  # raised in the body; Django signals those of views
                _record_exception(span, error)
            span.over = span.ended = True
            ring = journal.ring
            if ring is None:
                return
            if span.is_counted:
                ring.leave(METHODS[span.method])
            record = (  # not through `ids` and `touched`: two calls less for each request
                REQUEST,
                (span.trace_id, span.span_id, span.parent_id, span.flags, span.parent_is_remote),
                span.start,
                now - span.started,
                span.method,
                matched_route(request),
                status,
                None if error is None else type(error).__qualname__,
                environ_of(request) if span.flags & 1 else None,
                None if span.changes is None else span.touched,
                span.queries,
                span.logs,
            )
            ring.put(record)
        except Exception as problem:  # noqa: BLE001
            journal.failed("request", problem)


def _log(request: HttpRequest, response: Any) -> None:
    """Log a response as Django's handler would do next, outside of the span; it logs none twice. Never raises."""
    try:
        log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
    except Exception as problem:  # noqa: BLE001
        journal.failed("request", problem)


def _resuming(context: Context) -> Within:
    """Return what runs code after its view has returned: in `context`, then each time in the context that it left.

    A span that a body begins in one chunk is the current one in the next chunks, too.
    """

    @contextmanager
    def within() -> Iterator[None]:
        nonlocal context
        token = attach(context)
        try:
            yield
        finally:
            context = get_current()
            detach(token)

    return within


def is_tested(server: str | None) -> bool:
    """Return whether a test sent a request to `server`: tests set up an outbox, and Django's client names it so."""
    return hasattr(mail, "outbox") or server == "testserver"


def _span_name(method: str) -> str:
    """Return the method as the semantic conventions require it in span names.

    https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
    """
    return "HTTP" if method == OTHER_METHOD else method


def _record_failure(**_: object) -> None:
    """Add the exception that Django is about to answer with a 500 to the request's span; never raises."""
    error = sys.exc_info()[1]
    if error is not None:
        _record_exception(trace.get_current_span(), error)


def _record_exception(span: trace.Span, error: BaseException) -> None:
    try:
        span.record_exception(error)
    except Exception as problem:  # noqa: BLE001  (its own methods may raise anything)
        journal.failed("exception", problem)
