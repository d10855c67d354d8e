"""The service's URLs, and views that disclose all they know: to the log, to their span, in their exceptions."""

import json
import logging
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from opentelemetry import trace

from userapi.urls import handler400, handler403, handler404, handler500
from userapi.urls import urlpatterns as service_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

logger = logging.getLogger(__name__)


def leak(request: HttpRequest, rest: str) -> HttpResponse:
    """Do what careless code does with a request, and fail with its values in the message."""
    raw = request.body.decode()
    data: dict[str, Any] = json.loads(raw) if raw.startswith("{") else dict(request.POST.items())
    query = request.META["QUERY_STRING"]
    logger.warning("%r has the headers %s and the cookies %s", request, dict(request.headers), request.COOKIES)
    logger.info("body %s, data %s", raw, data)
    logger.info("Login failed for user %s", data.get("username"))
    logger.info("asked for %s", request.build_absolute_uri(), extra={"query": query, "rest": rest, **data})
    logger.info("headers %s", list(request.headers.items()))
    logger.info("sent on: %s", json.dumps({"body": json.dumps(data)}))
    logger.warning(f"an odd body {raw}", stack_info=True)  # noqa: G004
    logging.getLogger(f"tenant.{data.get('email')}").warning("served")
    logger.info("These arguments do not fit: %d", data)
    span = trace.get_current_span()
    span.update_name(f"leak {request.get_full_path()}")
    span.set_attribute("url.query", query)
    span.set_attribute("url.full", request.build_absolute_uri())
    for name, value in request.headers.items():
        span.set_attribute(f"http.request.header.{name.lower()}", [value])
    for name, value in data.items():
        span.set_attribute(f"request.{name}", value)
    span.set_attribute(f"seen by {data.get('email')}", 1)
    span.add_event("form", {"raw": raw, **data})
    span.add_event(f"form of {data.get('email')}")
    with trace.get_tracer(f"tracer of {data.get('email')}").start_as_current_span(f"work for {data.get('email')}"):
        pass
    with trace.get_tracer(__name__).start_as_current_span(
        "linked", links=[trace.Link(span.get_span_context(), {"query": f"?{query}", **data})]
    ) as linked:
        linked.set_status(trace.StatusCode.ERROR, f"could not store {data}")
    raise ValueError(f"nobody matches {data} of {request.get_full_path()}")


def leak_sql(request: HttpRequest) -> HttpResponse:
    """Fail in the database, with a literal in the statement."""
    literal = request.POST["literal"]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 AS x WHERE '{literal}' <> 'y'")
        cursor.execute(f"SELECT nothing FROM nowhere WHERE email = '{literal}'")  # noqa: S608
    return HttpResponse()


urlpatterns = [path("leaks/sql", leak_sql), path("leaks/<path:rest>", leak), *service_urlpatterns]
