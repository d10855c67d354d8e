"""A request is one record, with its queries and quiet log records inside; and no error of ours reaches it."""

import asyncio
import contextvars
import gc
import logging
import os
import random
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from time import perf_counter_ns, sleep
from typing import Any
from weakref import ref

import numpy as np
import pytest
import wrapt
from django.core import mail
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import got_request_exception, request_finished
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.test.client import AsyncRequestFactory
from django.urls import ResolverMatch
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from gevent import Timeout
from opentelemetry import baggage, metrics, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from telemetry import access as access_module
from telemetry.access import AccessLogMiddleware
from telemetry.answers import when_over
from telemetry.config import IncomingContext
from telemetry.journal.directory import is_alive
from telemetry.journal.records import LOG, MEASUREMENT, METHODS, OBSERVATIONS, QUERY, REQUEST, items_of
from telemetry.journal.ring import RingWriter
from telemetry.logs import OTLPHandler
from telemetry.recording import logs as logs_module
from telemetry.recording import middleware as middleware_module
from telemetry.recording import queries as queries_module
from telemetry.recording.ids import RandomIds
from telemetry.recording.incoming import IncomingContextReader
from telemetry.recording.journal import journal
from telemetry.recording.logs import LogRecorder
from telemetry.recording.meters import RecordingMeterProvider
from telemetry.recording.middleware import RequestMiddleware
from telemetry.recording.queries import QueryRecorders
from telemetry.recording.runtime import observe_runtime
from telemetry.recording.spans import MOST_WITHIN, RecordedSpan, RequestSpan
from tests.recording.conftest import Recorded
from tests.support.forks import in_child

logger = logging.getLogger("tests.recording.shop")

CONTEXT, START, DURATION, METHOD, ROUTE, STATUS, ERROR, ENVIRON, TOUCHED, QUERIES, LOGS = range(1, 12)


@pytest.fixture(autouse=True)
def _connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(RequestMiddleware, "incoming", IncomingContextReader("trust"), raising=False)
    monkeypatch.setattr(RequestMiddleware, "process", Process(), raising=False)
    OTLPHandler.connect(LogRecorder())
    yield
    OTLPHandler.connect(None)


@pytest.fixture
def query(django_db_blocker: Any, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """A function that sends a query on a recorded connection."""
    recorders = QueryRecorders()
    recorders.install()
    with django_db_blocker.unblock():
        connection = connections.create_connection("default")
        connection.settings_dict = {**connection.settings_dict, "NAME": tmp_path / "db.sqlite3"}

        def send(sql: str, parameters: Any = None) -> Any:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else None

        yield send
        connection.close()
    connection_created.disconnect(dispatch_uid=queries_module.__name__)


def answer(view: Callable[[HttpRequest], HttpResponse], path: str = "/shop", **headers: str) -> HttpResponse:
    request = RequestFactory(SERVER_NAME="shop.example").get(path, headers=headers)
    response: HttpResponse = RequestMiddleware(view)(request)
    return response


@pytest.mark.usefixtures("query")
@pytest.mark.parametrize("kind", [HttpResponse, StreamingHttpResponse])
def test_request_leaves_no_garbage(recorded: Recorded, kind: Any) -> None:
    """Django's do; telemetry adds none that only a collection frees."""
    spans: list[ref[trace.Span]] = []

    def view(_: HttpRequest) -> HttpResponse:
        logger.info("sold")
        spans.append(ref(trace.get_current_span()))
        response: HttpResponse = kind([b"ok"])
        return response

    gc.disable()
    try:
        with closing(answer(view)) as response:
            assert b"".join(response) == b"ok"
        del response
        assert [span() for span in spans] == [None]
    finally:
        gc.enable()
    assert len(recorded()) == 1


def test_request_is_one_record(recorded: Recorded, query: Callable[..., Any]) -> None:
    def view(_: HttpRequest) -> HttpResponse:
        logger.info("sold %s", "a book", extra={"price": 5, "request": object()})
        query("SELECT 1")
        query("SELECT 2")
        return HttpResponse("ok")

    assert answer(view).status_code == 200
    (record,) = recorded()
    assert (record[0], record[METHOD], record[ROUTE], record[STATUS], record[ERROR]) == (
        REQUEST,
        "GET",
        None,
        200,
        None,
    )
    assert record[DURATION] > 0
    assert [(q[0], q[1], q[6]) for q in record[QUERIES][-2:]] == [
        (("sqlite", None, None, None), "SELECT 1", None),
        (("sqlite", None, None, None), "SELECT 2", None),
    ]
    (log,) = record[LOGS]
    assert (log[0], log[2], log[4], log[5], log[6], log[7]) == (
        logger.name,
        logging.INFO,
        "sold a book",
        "sold %s",
        {"price": 5},
        None,
    )
    assert items_of(record) == (1 + len(record[QUERIES]), 1, 1 + len(record[QUERIES]))


def test_request_of_many_queries_and_log_records_has_records_of_their_own(
    recorded: Recorded, query: Callable[..., Any]
) -> None:
    def view(_: HttpRequest) -> HttpResponse:
        for number in range(MOST_WITHIN + 2):
            query("SELECT 7")
            logger.info("number %d", number)
        return HttpResponse()

    answer(view)
    *alone, request = recorded()
    assert (len(request[QUERIES]), len(request[LOGS])) == (MOST_WITHIN, MOST_WITHIN)
    assert [record[0] for record in alone] == [QUERY, LOG] * 2
    trace_id, span_id = request[CONTEXT][:2]
    assert {record[7] for record in alone[::2]} == {(trace_id, b"", span_id, request[CONTEXT][3], False)}
    assert [record[5] for record in alone[1::2]] == [f"number {MOST_WITHIN}", f"number {MOST_WITHIN + 1}"]
    assert {record[8] for record in alone[1::2]} == {(trace_id, span_id, request[CONTEXT][3])}


def test_route_that_is_not_known_is_none(recorded: Recorded) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.resolver_match = ResolverMatch(view, (), {})
        return HttpResponse()

    served = AccessLogMiddleware(view, "tests.recording.access", ())
    assert answer(served).status_code == 200
    (record,) = recorded()
    assert (record[ROUTE], record[STATUS]) == (None, 200)


def test_failure_of_an_access_record_costs_no_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "matched_route", break_it)
    served = AccessLogMiddleware(lambda _: HttpResponse("ok"), "tests.recording.access", ())
    assert served(RequestFactory().get("/")).content == b"ok"


def test_seed_of_the_project_does_not_repeat_ids(recorded: Recorded) -> None:
    def view(_: HttpRequest) -> HttpResponse:
        random.seed(42)
        return HttpResponse()

    for _ in range(3):
        answer(view)
    assert len({record[CONTEXT][:2] for record in recorded()}) == 3
    ids = RandomIds()  # those of user code's spans
    assert len({(random.seed(42), ids.generate_trace_id(), ids.generate_span_id()) for _ in range(3)}) == 3


def test_request_cancelled_while_its_failure_is_logged_is_recorded(recorded: Recorded) -> None:
    logging_began = threading.Event()

    class Slow(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            logging_began.set()
            sleep(0.2)

    async def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse(status=503)

    async def cancel() -> None:
        task = asyncio.ensure_future(RequestMiddleware(view)(AsyncRequestFactory().get("/")))
        assert await asyncio.to_thread(logging_began.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    handler = Slow()
    logging.getLogger("django.request").addHandler(handler)
    try:
        asyncio.run(cancel())
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    (record,) = (each for each in recorded() if each[0] == REQUEST)
    assert (record[STATUS], record[ERROR]) == (503, "CancelledError")
    assert not any(recorded.ring.levels)


def test_failed_response_is_logged_in_a_thread_under_asgi(recorded: Recorded) -> None:
    """A handler may send mail, which would stop the event loop."""
    running: list[bool] = []

    class Slow(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            try:
                running.append(asyncio.get_running_loop().is_running())
            except RuntimeError:
                running.append(False)

    async def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse(status=503)

    handler = Slow()
    logging.getLogger("django.request").addHandler(handler)
    try:
        asyncio.run(RequestMiddleware(view)(AsyncRequestFactory().get("/")))
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert running == [False]
    *_, record = recorded()
    assert record[STATUS] == 503


def test_warning_is_a_record_at_once(recorded: Recorded) -> None:
    seen: list[Any] = []

    def view(_: HttpRequest) -> HttpResponse:
        logger.warning("the shelf is empty")
        seen.extend(recorded())
        return HttpResponse("ok")

    answer(view)
    (log,) = seen
    (request,) = recorded()
    assert (log[0], log[5]) == (LOG, "the shelf is empty")
    assert log[8] == (request[CONTEXT][0], request[CONTEXT][1], request[CONTEXT][3])
    assert request[LOGS] == []


@pytest.mark.parametrize("flags", [0, 1])
def test_query_and_log_records_belong_to_the_span_around_them(
    recorded: Recorded, query: Callable[..., Any], flags: int
) -> None:
    inner = NonRecordingSpan(SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(flags)))

    def view(_: HttpRequest) -> HttpResponse:
        with trace.use_span(inner):
            query("SELECT 8")
            logger.info("inside")
            logger.warning("at once")
        with suppress_instrumentation():
            query("SELECT 9")
        return HttpResponse()

    answer(view)
    warning, request = recorded()
    trace_id, span_id = (5).to_bytes(16), (6).to_bytes(8)
    assert [each[6] for each in request[QUERIES] if each[1] == "SELECT 8"] == [(trace_id, b"", span_id, flags, False)]
    assert [each[7] for each in request[LOGS]] == [warning[8]] == [(trace_id, span_id, flags)]
    assert not [each for each in request[QUERIES] if each[1] == "SELECT 9"]


def test_what_follows_a_request_in_its_context_is_recorded_in_its_trace(
    recorded: Recorded, query: Callable[..., Any]
) -> None:
    """As of a thread that outlives the request."""
    contexts: list[contextvars.Context] = []

    def view(_: HttpRequest) -> HttpResponse:
        contexts.append(contextvars.copy_context())
        return HttpResponse()

    query("SELECT 1")  # opens the connection
    recorded()
    answer(view)
    contexts[0].run(query, "SELECT 5")
    contexts[0].run(logger.info, "late")
    request, later, log = recorded()
    trace_id, span_id, _, flags, _ = request[CONTEXT]
    assert (later[2], later[7]) == ("SELECT 5", (trace_id, b"", span_id, flags, False))
    assert (log[5], log[8]) == ("late", (trace_id, span_id, flags))


def test_log_record_outside_of_requests_is_a_record(recorded: Recorded) -> None:
    logger.info("outside")
    (log,) = recorded()
    assert (log[0], log[5], log[8]) == (LOG, "outside", ())


def test_lazy_value_of_a_log_record_costs_no_request(recorded: Recorded) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        logger.info("inside", extra={"user": SimpleLazyObject(lambda: "ada"), "orders": wrapt.ObjectProxy(3)})
        return HttpResponse(request.method)

    answer(view)
    (request,) = recorded()
    assert request[LOGS][0][6] == {"user": "ada", "orders": 3}


def test_exceptions_and_stacks_are_kept(recorded: Recorded) -> None:
    try:
        int("a fault")
    except ValueError:
        logger.exception("it failed", stack_info=True)
    (log,) = recorded()
    kind, message, stack = (log[7][f"exception.{key}"] for key in ("type", "message", "stacktrace"))
    assert (kind, message) == ("ValueError", "invalid literal for int() with base 10: 'a fault'")
    assert stack.startswith("Traceback")
    assert "test_exceptions_and_stacks_are_kept" in log[7]["code.stacktrace"]


def test_query_outside_of_requests_is_a_record(recorded: Recorded, query: Callable[..., Any]) -> None:
    query("SELECT 3")
    record = recorded()[-1]
    assert (record[0], record[2]) == (QUERY, "SELECT 3")
    assert len(record[7][0]) == 16
    assert record[7][2] is None


@pytest.mark.django_db
def test_query_on_a_connection_that_was_open_before_is_a_record(recorded: Recorded) -> None:
    connection = connections["default"]
    connection.ensure_connection()
    wrappers = [*connection.execute_wrappers]
    QueryRecorders().install()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 4")
    finally:
        connection.execute_wrappers[:] = wrappers
        connection_created.disconnect(dispatch_uid=queries_module.__name__)
    (record,) = recorded()
    assert (record[0], record[2]) == (QUERY, "SELECT 4")


def test_failed_query_keeps_the_drivers_error(recorded: Recorded, query: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match="no such table"):
        query("SELECT * FROM nowhere")
    short, kind, message, stack = recorded()[-1][6]
    assert (short, kind) == ("OperationalError", "sqlite3.OperationalError")
    assert message == "no such table: nowhere"
    assert "Traceback" in stack


def test_trusted_parent_is_continued(recorded: Recorded) -> None:
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    answer(lambda _: HttpResponse("ok"), traceparent=f"00-{trace_id}-{parent}-01")
    (record,) = recorded()
    assert record[CONTEXT][0].hex() == trace_id
    assert record[CONTEXT][2].hex() == parent
    assert record[CONTEXT][4] is True


@pytest.mark.parametrize(("sampler", "flags"), [(None, "01"), (ALWAYS_ON, "01"), (ALWAYS_ON, "03"), (ALWAYS_OFF, "00")])
def test_context_of_a_trusted_parent_is_handed_on(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, sampler: Sampler | None, flags: str
) -> None:
    """With its trace state, and without the promise of a random trace id, unless the parent has made it."""
    monkeypatch.setattr(RequestMiddleware, "sampler", sampler)
    seen: list[SpanContext] = []

    def view(_: HttpRequest) -> HttpResponse:
        seen.append(trace.get_current_span().get_span_context())
        return HttpResponse("ok")

    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-" + ("01" if sampler is ALWAYS_OFF else flags)
    answer(view, traceparent=traceparent, tracestate="shop=1")
    (record,) = recorded()
    assert record[CONTEXT][3] == seen[0].trace_flags == int(flags, 16)
    assert dict(seen[0].trace_state) == {"shop": "1"}


@contextmanager
def current(context: Context) -> Iterator[None]:
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def test_request_within_another_application_belongs_to_its_trace(recorded: Recorded) -> None:
    """As of Starlette that mounts Django: its span is the parent, whatever a client's headers say."""
    seen: list[Any] = []

    def view(_: HttpRequest) -> HttpResponse:
        seen.append(baggage.get_all())
        return HttpResponse("ok")

    outer = TracerProvider(shutdown_on_exit=False).get_tracer("outer").start_span("outer")
    with current(baggage.set_baggage("tenant", "a", trace.set_span_in_context(outer))):
        answer(view, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
        assert trace.get_current_span() is outer
    ids = outer.get_span_context()
    (record,) = recorded()
    trace_id, _, parent_id, _, is_remote = record[CONTEXT]
    assert (int.from_bytes(trace_id), int.from_bytes(parent_id), is_remote) == (ids.trace_id, ids.span_id, False)
    assert seen == [{"tenant": "a"}]


@pytest.mark.parametrize("policy", ["trust", "ignore"])
def test_context_without_a_span_around_a_request_is_kept(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, policy: IncomingContext
) -> None:
    monkeypatch.setattr(RequestMiddleware, "incoming", IncomingContextReader(policy))
    with current(baggage.set_baggage("tenant", "a", Context())):
        for headers in ({}, {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}):
            response = answer(lambda _: HttpResponse(str(baggage.get_all())), **headers)
            assert response.content == b"{'tenant': 'a'}"
    first, second = recorded()
    assert first[CONTEXT][2] is None
    assert second[CONTEXT][2] == (None if policy == "ignore" else bytes.fromhex("b" * 16))


def test_instrumentation_that_is_suppressed_around_a_request_records_none(recorded: Recorded) -> None:
    with suppress_instrumentation():
        assert answer(lambda _: HttpResponse("ok")).content == b"ok"
    assert recorded() == []


def left_of_a_request(sampler: Sampler | None, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(RequestMiddleware, "sampler", sampler)
    found: list[Context] = []

    def view(_: HttpRequest) -> HttpResponse:
        found.append(baggage.set_baggage("tenant", "a"))
        return HttpResponse("ok")

    answer(view)
    return found[0]


def left_of_its_export(sampler: Sampler | None, monkeypatch: pytest.MonkeyPatch) -> Context:
    with current(left_of_a_request(sampler, monkeypatch)), suppress_instrumentation():
        return get_current()


def left_of_a_span(sampler: Sampler | None, _: pytest.MonkeyPatch) -> Context:
    span = TracerProvider(sampler, shutdown_on_exit=False).get_tracer("outer").start_span("outer")
    span.end()
    return baggage.set_baggage("tenant", "a", trace.set_span_in_context(span))


def left_of_a_client(_: Sampler | None, __: pytest.MonkeyPatch) -> Context:
    theirs = NonRecordingSpan(SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1)))
    return baggage.set_baggage("tenant", "a", trace.set_span_in_context(theirs))


@pytest.mark.parametrize(
    ("left", "sampler"),
    [
        (left_of_a_request, None),
        (left_of_a_request, ALWAYS_OFF),
        (left_of_its_export, None),
        (left_of_a_span, None),
        (left_of_a_span, ALWAYS_OFF),
        (left_of_a_client, None),
    ],
)
def test_context_left_over_in_a_thread_is_no_parent(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, left: Callable[..., Context], sampler: Sampler | None
) -> None:
    """As by a generator that is collected with a span of its own in it."""
    seen: list[Any] = []

    def view(_: HttpRequest) -> HttpResponse:
        seen.append(baggage.get_all())
        return HttpResponse("ok")

    context = left(sampler, monkeypatch)
    monkeypatch.setattr(RequestMiddleware, "sampler", None)
    recorded()
    with current(context):
        answer(view)
    (record,) = recorded()
    left_behind = trace.get_current_span(context).get_span_context()
    assert record[CONTEXT][2:] == (None, RequestSpan.flags, False)
    assert int.from_bytes(record[CONTEXT][0]) != left_behind.trace_id
    assert seen == [{}]


def test_unsampled_request_is_counted_without_its_environment(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RequestMiddleware, "sampler", ALWAYS_OFF)
    answer(lambda _: HttpResponse("ok"))
    (record,) = recorded()
    assert record[CONTEXT][3] & 1 == 0
    assert record[ENVIRON] is None


def test_untraced_path_is_answered_without_a_record(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestMiddleware, "untraced", frozenset({"/livez", "/metrics"}))
    seen: list[trace.Span] = []
    answers = {"/metrics": lambda _: HttpResponse("of the middleware")}

    def view(_: HttpRequest) -> HttpResponse:
        seen.append(trace.get_current_span())
        return HttpResponse("of the view")

    async def view_async(request: HttpRequest) -> HttpResponse:
        return view(request)

    for path, expected in (("/livez", b"of the view"), ("/metrics", b"of the middleware")):
        assert RequestMiddleware(view, answers)(RequestFactory().get(path)).content == expected
        responding = RequestMiddleware(view_async, answers)(AsyncRequestFactory().get(path))
        assert asyncio.run(responding).content == expected
    assert seen == [trace.INVALID_SPAN] * 2
    assert recorded() == []


def test_request_that_began_before_the_process_joined_ends_no_other_one(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = journal.ring
    assert ring
    monkeypatch.setattr(journal, "ring", None)

    def view(_: HttpRequest) -> HttpResponse:
        monkeypatch.setattr(journal, "ring", ring)
        ring.enter(METHODS["GET"])
        return HttpResponse("ok")

    answer(view)
    assert [record[STATUS] for record in recorded()] == [200]
    assert recorded.ring.levels[METHODS["GET"]] == 1


@pytest.mark.parametrize("status", [400, 404, 500])
def test_refused_request_is_logged_within_its_trace(recorded: Recorded, status: int) -> None:
    answer(lambda _: HttpResponse(status=status))
    log, request = recorded()
    assert (log[1], log[8]) == ("django.request", (*request[CONTEXT][:2], request[CONTEXT][3]))


def test_filter_that_fails_costs_no_response(recorded: Recorded) -> None:
    """`logging` lets what a filter raises pass."""
    failing = logging.getLogger("django.request")
    failing.addFilter(break_it)
    try:
        assert answer(lambda _: HttpResponse(status=503)).status_code == 503
    finally:
        failing.removeFilter(break_it)
    assert [record[STATUS] for record in recorded() if record[0] == REQUEST] == [503]


def test_aborted_request_leaves_no_record(recorded: Recorded) -> None:
    def view(_: HttpRequest) -> HttpResponse:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        answer(view)
    assert recorded() == []
    assert not any(recorded.ring.levels)


def test_request_and_query_that_gevent_times_out_are_recorded(
    recorded: Recorded, query: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_out(*_: Any) -> None:
        raise Timeout

    def view(_: HttpRequest) -> HttpResponse:
        monkeypatch.setattr(CursorWrapper, "_execute", time_out)
        return HttpResponse(query("SELECT 1"))

    with pytest.raises(Timeout):
        answer(view)
    (record,) = recorded()
    assert (record[STATUS], record[ERROR], record[QUERIES][-1][5][0]) == (0, "Timeout", "Timeout")
    assert not any(recorded.ring.levels)


def test_active_requests_are_counted_in_the_header(recorded: Recorded) -> None:
    seen: list[int] = []

    def view(_: HttpRequest) -> HttpResponse:
        seen.extend(recorded.ring.levels)
        return HttpResponse("ok")

    answer(view)
    assert sum(seen) == 1
    assert not any(recorded.ring.levels)


def test_async_requests_have_records_of_their_own(recorded: Recorded) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        logger.info("at %s", request.path)
        trace.get_current_span().set_attribute("path", request.path)
        await asyncio.sleep(0.01)
        return HttpResponse("ok")

    async def ask_all() -> None:
        middleware = RequestMiddleware(view)
        await asyncio.gather(*(middleware(AsyncRequestFactory().get(f"/{n}")) for n in range(5)))

    asyncio.run(ask_all())
    records = recorded()
    assert len({record[CONTEXT][0] for record in records}) == 5
    for record in records:
        (log,) = record[LOGS]
        assert log[4] == f"at {record[TOUCHED][2]['path']}"


def test_cancelled_request_is_a_record_without_a_status(recorded: Recorded) -> None:
    async def view(_: HttpRequest) -> HttpResponse:
        await asyncio.sleep(60)
        return HttpResponse("late")

    async def cancel() -> None:
        task = asyncio.ensure_future(RequestMiddleware(view)(AsyncRequestFactory().get("/")))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    (record,) = recorded()
    assert (record[STATUS], record[ERROR]) == (0, "CancelledError")
    assert not any(recorded.ring.levels)


def parts(query: Callable[..., Any]) -> Iterator[bytes]:
    yield str(query("SELECT 1")).encode()
    logger.info("between")
    yield str(query("SELECT 2")).encode()


def test_streamed_answer_is_over_with_its_body(recorded: Recorded, query: Callable[..., Any]) -> None:
    response: Any = answer(lambda _: StreamingHttpResponse(parts(query)))  # type: ignore[arg-type,return-value]
    assert recorded() == []
    assert [*recorded.ring.levels].count(1) == 1
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert b"".join(response) == b"[(1,)][(2,)]"
    (record,) = recorded()
    assert ([q[1] for q in record[QUERIES]][-2:], [log[4] for log in record[LOGS]]) == (
        ["SELECT 1", "SELECT 2"],
        ["between"],
    )
    assert (record[STATUS], record[ERROR]) == (200, None)
    response.close()
    assert recorded() == []
    assert not any(recorded.ring.levels)
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.usefixtures("query")
def test_what_closes_a_body_belongs_to_its_request(recorded: Recorded) -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"a"

        def close(self) -> None:
            logger.info("closed")

    response: Any = answer(lambda _: StreamingHttpResponse(Body()))  # type: ignore[arg-type,return-value]
    assert b"".join(response) == b"a"
    response.close()
    assert trace.get_current_span() is trace.INVALID_SPAN
    request, log = recorded()
    assert (log[5], log[8]) == ("closed", (*request[CONTEXT][:2], request[CONTEXT][3]))


@pytest.mark.usefixtures("query")
def test_span_around_several_chunks_is_current_in_each(recorded: Recorded) -> None:
    inner = NonRecordingSpan(SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(1)))

    def body() -> Iterator[bytes]:
        with trace.use_span(inner):
            yield b"a"
            logger.info("inside")
            yield b"b"
        logger.info("outside")

    async def body_async() -> AsyncIterator[bytes]:
        for part in body():
            yield part

    async def view(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(body_async())

    async def ask() -> bytes:
        response: Any = await RequestMiddleware(view)(AsyncRequestFactory().get("/"))
        return b"".join([part async for part in response])

    response: Any = answer(lambda _: StreamingHttpResponse(body()))  # type: ignore[arg-type,return-value]
    assert b"".join(response) == asyncio.run(ask()) == b"ab"
    given_up: Any = answer(lambda _: StreamingHttpResponse(body()))  # type: ignore[arg-type,return-value]
    assert next(iter(given_up)) == b"a"
    given_up.close()
    *complete, abandoned = recorded()
    span = (5).to_bytes(16), (6).to_bytes(8), 1
    assert [[log[7] for log in record[LOGS]] for record in complete] == [[span, None]] * 2
    assert abandoned[LOGS] == []
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.usefixtures("query")
def test_streamed_answer_that_is_given_up_is_over_when_it_is_closed(recorded: Recorded) -> None:
    response: Any = answer(lambda _: StreamingHttpResponse(iter([b"a", b"b"])))  # type: ignore[arg-type,return-value]
    assert next(iter(response)) == b"a"
    assert recorded() == []
    response.close()
    response.close()
    (record,) = recorded()
    assert (record[STATUS], record[ERROR]) == (200, None)


class BrokenError(Exception):
    pass


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


ERRORS = [(BrokenError("on purpose"), "on purpose"), (MuteError(), "<MuteError>")]


@pytest.mark.usefixtures("query")
@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_streamed_answer_that_fails_has_the_error(recorded: Recorded, error: Exception, message: str) -> None:
    def failing() -> Iterator[bytes]:
        yield b"a"
        raise error

    response: Any = answer(lambda _: StreamingHttpResponse(failing()))  # type: ignore[arg-type,return-value]
    with pytest.raises(type(error)):
        b"".join(response)
    response.close()
    (record,) = recorded()
    assert (record[STATUS], record[ERROR]) == (200, type(error).__name__)
    assert record[TOUCHED][3][0][2]["exception.message"] == message
    assert not any(recorded.ring.levels)


@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_exception_of_a_view_reaches_other_receivers(recorded: Recorded, error: Exception, message: str) -> None:
    seen: list[BaseException | None] = []

    def view(_: HttpRequest) -> HttpResponse:
        raise error

    def report(**_: object) -> None:
        seen.append(sys.exception())

    middleware = RequestMiddleware(convert_exception_to_response(view))
    got_request_exception.connect(report)
    try:
        middleware(RequestFactory(SERVER_NAME="shop.example").get("/shop"))
    finally:
        got_request_exception.disconnect(report)
    assert seen == [error]
    *_, record = recorded()
    assert (record[STATUS], record[TOUCHED][3][0][2]["exception.message"]) == (500, message)


@pytest.mark.usefixtures("query")
@pytest.mark.parametrize("kind", [FileResponse, StreamingHttpResponse])
def test_streamed_answer_that_a_middleware_replaces_is_recorded(recorded: Recorded, kind: Any) -> None:
    """As by ConditionalGetMiddleware outside of ours: what it replaces by a 304 is never closed."""
    served: Any = AccessLogMiddleware(lambda _: kind(BytesIO(b"content")), "tests.recording.access", ())
    with current(baggage.set_baggage("of", "another request")):
        began = perf_counter_ns()
        replaced = [answer(served)]
        took = perf_counter_ns() - began
        assert [*recorded.ring.levels].count(1) == 1
        replaced.clear()
        gc.collect()
        assert recorded() == []  # a collection runs within any code, which may hold locks
        HttpResponse().close()  # as a server does after each answer
    found = recorded()
    (request,) = (each for each in found if each[0] == REQUEST)
    assert request[STATUS] == 200
    assert request[DURATION] <= took
    of_access = [log[7] or request[CONTEXT] for log in request[LOGS]] + [each[8] for each in found if each[0] == LOG]
    assert [context[0] for context in of_access] == [request[CONTEXT][0]]
    assert not any(recorded.ring.levels)


@pytest.mark.usefixtures("query")
def test_body_abandoned_before_a_fork_is_reported_by_the_parent() -> None:
    reported: list[int] = []
    when_over(StreamingHttpResponse([b"content"]), lambda _, end: reported.append(end), nullcontext)
    gc.collect()

    def reports_nothing() -> bool:
        request_finished.send(None)
        return not reported

    assert in_child(reports_nothing)
    request_finished.send(None)
    assert len(reported) == 1


@pytest.mark.usefixtures("query")
def test_streamed_answer_that_cannot_be_followed_is_recorded_once(recorded: Recorded) -> None:
    class Sealed(StreamingHttpResponse):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "close":
                raise BrokenError
            super().__setattr__(name, value)

    served: Any = AccessLogMiddleware(lambda _: Sealed([b"content"]), "tests.recording.access", ())
    response = answer(served)
    assert b"".join(response) == b"content"
    response.close()
    del response
    gc.collect()
    request_finished.send(None)
    _, request = recorded()  # the first is the log record of the failure
    assert ([log[5] for log in request[LOGS]], request[STATUS]) == (["%s %s %d"], 200)
    assert not any(recorded.ring.levels)
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.usefixtures("query")
def test_file_is_still_the_servers_to_send(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    response: Any = answer(lambda _: FileResponse((tmp_path / "file").open("rb")))  # type: ignore[arg-type,return-value]
    assert response.file_to_stream is not None
    assert recorded() == []
    response.close()
    (record,) = recorded()
    assert record[STATUS] == 200


def test_asynchronous_body_belongs_to_its_request(recorded: Recorded) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(0)
            logger.info("part %d", number)
            yield b"."

    async def view(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(body())

    async def ask() -> bytes:
        response: Any = await RequestMiddleware(view)(AsyncRequestFactory().get("/"))
        return b"".join([part async for part in response])

    async def ask_twice() -> list[bytes]:
        return [*await asyncio.gather(ask(), ask())]

    assert asyncio.run(ask_twice()) == [b"...", b"..."]
    first, second = recorded()
    assert [log[4] for log in first[LOGS]] == [log[4] for log in second[LOGS]] == ["part 0", "part 1", "part 2"]
    assert first[CONTEXT][0] != second[CONTEXT][0]


def test_asynchronous_body_whose_client_leaves_has_no_error(recorded: Recorded) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"."
        await asyncio.sleep(60)

    async def view(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(body())

    async def leave() -> None:
        response: Any = await RequestMiddleware(view)(AsyncRequestFactory().get("/"))
        parts = aiter(response)
        assert await anext(parts) == b"."
        task = asyncio.ensure_future(anext(parts))
        await asyncio.sleep(0)
        task.cancel()  # as Django does
        with pytest.raises(asyncio.CancelledError):
            await task
        response.close()

    asyncio.run(leave())
    (record,) = recorded()
    assert (record[STATUS], record[ERROR], record[TOUCHED]) == (200, None, None)
    assert not any(recorded.ring.levels)


def test_child_of_a_fork_records_nothing_into_its_parents_ring(recorded: Recorded) -> None:
    """Nor does it hold or release its parent's slot."""
    assert journal.directory
    path, slot = journal.directory.path, journal._slot

    def records_nothing() -> bool:
        logger.warning("from the child")
        answer(lambda _: HttpResponse("from the child"))
        with suppress(OSError):
            os.fstat(slot or 0)
            return False
        return journal.ring is None

    assert in_child(records_nothing)
    assert is_alive(path)
    logger.warning("from the parent")
    assert [record[5] for record in recorded()] == ["from the parent"]


class Process:
    """A process that has nothing to do but what the journal needs."""

    def begin(self) -> None:
        pass


def break_it(*_: Any, **__: Any) -> Any:
    raise BrokenError("on purpose")


BREAKS = {
    "begin": (middleware_module, "RequestSpan"),
    "incoming context": (IncomingContextReader, "read"),
    "method": (middleware_module, "known_method"),
    "active requests": (RingWriter, "enter"),
    "finish": (RingWriter, "leave"),
    "route": (middleware_module, "matched_route"),
    "environment": (middleware_module, "environ_of"),
    "write": (RingWriter, "put"),
    "exception": (RecordedSpan, "record_exception"),
    "query": (queries_module, "_LONGEST_STATEMENT"),
    "log record": (logs_module, "_AT_ONCE"),
    "content": (logs_module, "content_of"),
    "join": (Process, "begin"),
}


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("part", BREAKS)
def test_what_breaks_costs_no_request(
    part: str,
    query: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def view(_: HttpRequest) -> HttpResponse:
        logger.info("in the request")
        try:
            break_it()
        except BrokenError:  # as Django does
            got_request_exception.send(None)
        return HttpResponse(str(query("SELECT 7")))

    place, name = BREAKS[part]
    if part == "join":
        monkeypatch.setattr(journal, "ring", None)
        monkeypatch.delattr(mail, "outbox")  # by which a process that runs tests is known
    monkeypatch.setattr(place, name, staticmethod(break_it) if isinstance(place, type) else break_it)
    for _ in range(3):
        assert answer(view).content == b"[(7,)]"
    monkeypatch.undo()
    problems = [record for record in caplog.records if record.name == "telemetry.recording.journal"]
    assert 1 <= len(problems) <= 2, "one log record for each part that notices it"
    assert "further ones of this kind are only counted" in problems[0].getMessage()
    assert journal.errors >= 3
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize(
    ("server", "has_outbox", "begun"), [("shop.example", False, 1), ("testserver", False, 0), ("shop.example", True, 0)]
)
def test_requests_of_a_test_do_not_begin_to_record(
    monkeypatch: pytest.MonkeyPatch, server: str, has_outbox: bool, begun: int
) -> None:
    begins: list[int] = []
    monkeypatch.setattr(Process, "begin", lambda _: begins.append(1))
    if not has_outbox:
        monkeypatch.delattr(mail, "outbox")
    assert RequestMiddleware(lambda _: HttpResponse("ok"))(RequestFactory(SERVER_NAME=server).get("/")).content == b"ok"
    assert len(begins) == begun


@pytest.mark.usefixtures("recorded")
def test_failure_to_join_costs_no_query(query: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child of a process that serves no requests, which joins by itself."""
    with monkeypatch.context() as patch:
        patch.setattr(journal, "join", break_it)
        patch.setattr(journal, "ring", None)
        assert query("SELECT 7") == [(7,)]
    assert journal.errors > 0


def test_instruments_record_what_they_are_given(recorded: Recorded) -> None:
    meter = RecordingMeterProvider().get_meter("shop", "1")
    meter.create_counter("orders", "{order}", "Orders.").add(2, {"kind": "book"})
    meter.create_counter("orders", "{order}").add(-1)
    meter.create_up_down_counter("stock").add(-3)
    meter.create_histogram("weight", "kg", explicit_bucket_boundaries_advisory=[1, 2]).record(1.5)
    meter.create_histogram("weight", "kg").record(float("nan"))
    meter.create_histogram("weight", "kg").record(-1)
    records = recorded()
    assert [(record[0], record[1][0], record[1][1], record[2], record[3]) for record in records] == [
        (MEASUREMENT, "counter", "orders", 2, {"kind": "book"}),
        (MEASUREMENT, "updowncounter", "stock", -3, {}),
        (MEASUREMENT, "histogram", "weight", 1.5, {}),
    ]
    assert records[0][1] == ("counter", "orders", "{order}", "Orders.", "shop", "1", "", None)
    assert records[2][1][-1] == (1.0, 2.0)


def test_measurement_belongs_to_the_span_of_its_context(recorded: Recorded) -> None:
    counter = RecordingMeterProvider().get_meter("shop").create_counter("orders")
    for flags in (0, 1):
        theirs = NonRecordingSpan(SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(flags)))
        counter.add(1, context=trace.set_span_in_context(theirs))
    counter.add(1)
    ids = (5).to_bytes(16), (6).to_bytes(8)
    assert [record[5:8] for record in recorded()] == [(*ids, False), (*ids, True), (None, None, False)]


def test_generator_is_asked_for_each_observation(recorded: Recorded) -> None:
    def depths() -> Generator[list[Observation], CallbackOptions, None]:
        for depth in range(5):
            yield [Observation(depth), Observation(float("inf"))]

    provider = RecordingMeterProvider()
    provider.get_meter("shop").create_observable_gauge("Depth", [depths()])
    provider.get_meter("shop").create_observable_gauge("depth")
    for _ in range(2):
        provider.observe()
    assert [[points for _, points in record[2]] for record in recorded()] == [[((1, {}),)], [((2, {}),)]]


def test_instruments_are_described_in_texts(recorded: Recorded) -> None:
    provider: Any = RecordingMeterProvider()
    meter = provider.get_meter("shop", (5, 2), SimpleLazyObject(lambda: "https://example.com"))
    meter.create_counter(gettext_lazy("orders"), 1, gettext_lazy("Orders.")).add(1)
    meter.create_observable_gauge("total", [lambda _: [Observation(1)]], None, mark_safe("Total."))
    provider.get_meter("shop", [5, 2], None)
    provider.observe()
    record, (_, _, observed, _) = recorded()
    scope = "shop", "(5, 2)", "https://example.com"
    assert record[1] == ("counter", "orders", "1", "Orders.", *scope, None)
    assert observed[0][0] == ("observable_gauge", "total", "", "Total.", *scope, None)


def test_instruments_take_numbers_of_any_kind(recorded: Recorded) -> None:
    provider = RecordingMeterProvider()
    meter = provider.get_meter("shop")
    values: list[Any] = [Decimal("1.5"), Fraction(3, 2), np.float64(1.5), np.float32(1.5), wrapt.ObjectProxy(1.5)]
    for value in values:
        meter.create_gauge("load").set(value)
        meter.create_histogram("weight").record(value, {"size": np.float64(1.5), "kind": np.str_("x")})
    meter.create_counter("orders").add(np.int64(3))  # type: ignore[arg-type]
    meter.create_counter("orders").add("3")  # type: ignore[arg-type]
    meter.create_observable_gauge("total", [lambda _: [Observation(value) for value in values]])
    provider.observe()
    *measured, orders, problem, (_, _, observed, _) = recorded()
    assert [(record[2], record[3]) for record in measured] == [
        (1.5, {}),
        (1.5, {"size": 1.5, "kind": "x"}),
    ] * 5
    assert {type(record[2]) for record in measured} == {float}
    assert (orders[2], type(orders[2])) == (3, int)
    assert problem[0] == LOG  # a text is no number
    assert observed[0][1] == ((1.5, {}),) * 5


def test_runtime_is_measured_beside_a_provider_of_the_project(recorded: Recorded) -> None:
    ours = RecordingMeterProvider()
    assert metrics.get_meter_provider() is not ours
    observe_runtime(ours)
    ours.observe()
    (record,) = recorded()
    assert record[0] == OBSERVATIONS
    assert {instrument[1] for instrument, _ in record[2]} >= {"cpython.gc.collections"}


@pytest.mark.parametrize(
    ("value", "kind"), [(2**63 - 1, int), (-(2**63), int), (2**63, float), (10**308, float), (True, int)]
)
def test_integers_beyond_64_bits_are_floats(recorded: Recorded, value: int, kind: type) -> None:
    RecordingMeterProvider().get_meter("shop").create_up_down_counter("level").add(value)
    [record] = recorded()
    assert (record[2], type(record[2])) == (float(value) if kind is float else value, kind)


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ([10, 5, 1], (1.0, 5.0, 10.0)),
        ([1, 1.0, 5], (1.0, 5.0)),
        ([1, float("nan"), 5, float("inf")], (1.0, 5.0)),
        ([Decimal("0.5"), np.int64(2)], (0.5, 2.0)),
        ([], ()),
        (["a"], None),
        (7, None),
    ],
)
def test_limits_of_buckets_ascend_and_are_finite(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, given: Any, limits: tuple[float, ...] | None
) -> None:
    meter = RecordingMeterProvider().get_meter("shop")
    meter.create_histogram("weight", explicit_bucket_boundaries_advisory=given).record(1)
    assert recorded()[-1][1][-1] == limits
    expected = [] if limits is not None else ["histogram weight gets the default buckets"]
    assert [message.partition(":")[0] for message in caplog.messages] == expected


def test_instruments_that_differ_in_kind_or_unit_are_two(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    meter = RecordingMeterProvider().get_meter("shop")
    for _ in range(2):
        meter.create_counter("lag", "s").add(1)
        meter.create_counter("lag", "ms").add(1000)
        meter.create_up_down_counter("lag", "s").add(2)
    measured = [record for record in recorded() if record[0] == MEASUREMENT]
    assert [(record[1][0], record[1][2], record[2]) for record in measured] == [
        ("counter", "s", 1),
        ("counter", "ms", 1000),
        ("updowncounter", "s", 2),
    ] * 2
    conflict = "metric lag of shop exists with another kind or unit: it is exported as a metric of its own"
    assert caplog.messages == [conflict] * 2


def test_finalizer_may_create_instruments_while_others_are_created(recorded: Recorded) -> None:
    """The garbage collector may run it within any allocation."""
    provider = RecordingMeterProvider()

    def collect(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            provider.get_meter("shop").create_counter("finalized").add(1)

    def create() -> None:
        for number in range(20):
            provider.get_meter("shop").create_counter(f"orders.{number}").add(1)
            provider.get_meter(f"shop.{number}")

    thresholds = gc.get_threshold()
    creating = threading.Thread(target=create, daemon=True)
    gc.callbacks.append(collect)
    gc.set_threshold(1)
    try:
        creating.start()
        creating.join(30)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(collect)
    assert not creating.is_alive()
    names = [record[1][1] for record in recorded()]
    assert {f"orders.{number}" for number in range(20)} | {"finalized"} == set(names)


def test_equal_observables_are_one_with_all_their_callbacks(recorded: Recorded) -> None:
    def first(_: CallbackOptions) -> list[Observation]:
        return [Observation(1, {"queue": "a"})]

    provider = RecordingMeterProvider()
    for callback in (first, lambda _: [Observation(2, {"queue": "b"})], first):
        provider.get_meter("shop").create_observable_gauge("depth", [callback])
    provider.observe()
    [(_, _, observed, _)] = recorded()
    assert [points for _, points in observed] == [((1, {"queue": "a"}), (2, {"queue": "b"}))]


def test_observables_are_asked_together_and_one_may_fail(recorded: Recorded) -> None:
    provider = RecordingMeterProvider()
    meter = provider.get_meter("shop")
    meter.create_observable_gauge("temperature", [lambda _: [Observation(21.5, {"room": "a"})]])
    meter.create_observable_counter("broken", [break_it])
    provider.observe()
    problem, (kind, time, observed, process) = recorded()
    assert problem[0] == LOG
    assert (kind, process) == (OBSERVATIONS, os.getpid())
    assert time > 0
    assert [(instrument[1], points) for instrument, points in observed] == [
        ("temperature", ((21.5, {"room": "a"}),)),
        ("broken", ()),
    ]
    assert journal.errors == 1
