"""Views that do to the current span what user code may do, and that send queries of every kind."""

import logging
from contextlib import suppress
from typing import Any

import requests
import urllib3
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags

from userapi.users.models import User

logger = logging.getLogger(__name__)
tracer = trace.get_tracer(__name__)


def touch(_request: HttpRequest) -> HttpResponse:
    span = trace.get_current_span()
    span.set_attribute("user.plan", "free")
    span.set_attributes({"user.age": 7, "user.tags": ["a", "b"]})
    span.add_event("cache.miss", {"key": "k"})
    span.record_exception(ValueError("caught"))
    span.add_link(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)), {"why": "test"})
    span.set_status(StatusCode.ERROR, "it was bad")
    span.update_name("a name that the route replaces")
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    with tracer.start_as_current_span("child") as child:
        child.set_attribute("in", "child")
        logger.info("in the child")
        list(User.objects.all()[:1])
        with connection.execute_wrapper(add_attribute), connection.cursor() as cursor:
            cursor.execute("SELECT 2")
    logger.info("in the request")
    return JsonResponse({"traceparent": carrier["traceparent"], "recording": span.is_recording()})


def add_attribute(execute: Any, *query: Any) -> Any:
    """Wrap queries as user code may do, and find the query's span."""
    trace.get_current_span().set_attribute("user.wrapper", True)
    return execute(*query)


def queries(_request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("/* a comment */ select 1")
        cursor.execute("SELECT %s", ["alice@example.com"])
        cursor.executemany("DELETE FROM users_user WHERE name = %s", [["x"], ["y"]])
        with suppress(DatabaseError):
            cursor.execute("SELECT absent FROM nowhere")
        with suppress_instrumentation():
            cursor.execute("SELECT 3")
    list(User.objects.iterator(chunk_size=1))
    return HttpResponse("done")


def call(request: HttpRequest, library: str) -> HttpResponse:
    """Call this service, or the one at another port, as user code calls another, and hand on what it answered."""
    port = request.GET.get("port", request.META["SERVER_PORT"])
    url = f"http://127.0.0.1:{port}/users?page_size=1&search=alice@example.com"
    if library == "requests":
        return HttpResponse(requests.get(url, timeout=10).text)
    if library == "httpx":
        import httpx

        return HttpResponse(httpx.get(url, timeout=10).text)
    if library == "celery":
        from tests.signals.celery_app import sell

        sell.delay("alice@example.com")
        return HttpResponse()
    if library == "redis":
        from redis import Redis

        return HttpResponse(Redis(port=int(port)).get("alice@example.com"))
    return HttpResponse(urllib3.request("GET", url, timeout=10).data)
