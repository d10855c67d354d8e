"""Errors as RFC 9457 problem documents, each with the id of its trace; browsers get an equivalent page."""

import json
import logging
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.template.loader import render_to_string
from django.urls import is_valid_path
from django.utils.cache import patch_vary_headers
from django.utils.http import escape_leading_slashes
from django.views import csrf, defaults
from opentelemetry import trace
from rest_framework import exceptions
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.views import exception_handler as rest_exception_handler

from userapi.negotiation import ContentNegotiation

MEDIA_TYPE = "application/problem+json"

_ADMIN = "/admin/"
_DATABASE_ERRORS = OperationalError, InterfaceError
_HTML = "text/html"
_negotiation = ContentNegotiation()

logger = logging.getLogger(__name__)


class Conflict(exceptions.APIException):
    """409: the request is valid but contradicts stored data. `errors` maps field to messages."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "The request contradicts what is stored."
    default_code = "conflict"

    def __init__(self, detail: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors


class PreconditionFailed(exceptions.APIException):
    """412: the stored version is not the one that the client named."""

    status_code = HTTPStatus.PRECONDITION_FAILED
    default_detail = "The record has changed."
    default_code = "precondition_failed"


class ServiceUnavailable(exceptions.APIException):
    """503: the database is currently unavailable."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database does not answer; try again."
    default_code = "unavailable"
    wait = 1
    """Seconds, for the Retry-After header."""


def problem(
    request: HttpRequest | Request, status: int, detail: str = "", errors: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    """Return the problem document for a response to `request`."""
    document: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": int(status)}
    if detail:
        document["detail"] = detail
    document["instance"] = request.path
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        document["trace_id"] = trace.format_trace_id(context.trace_id)
    if errors:
        document["errors"] = errors
    return document


def problem_response(
    request: HttpRequest | Request, status: int, detail: str = "", errors: Mapping[str, list[str]] | None = None
) -> HttpResponse:
    """Return a response outside REST framework's views: in middleware, for unknown routes, for unexpected errors.

    It is a page for clients that prefer HTML to JSON, as browsers do.
    """
    document = problem(request, status, detail, errors)
    if _negotiation.preferred_type(request, [MEDIA_TYPE, "application/json", _HTML]) == _HTML:
        response = HttpResponse(render_to_string("userapi/problem.html", document), status=status)
    else:
        response = HttpResponse(json.dumps(document), status=status, content_type=MEDIA_TYPE)
    patch_vary_headers(response, ["Accept"])
    return response


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """Answer an exception of a REST framework view; None leaves it to Django, which logs it and calls `server_error`.

    A browser that requested the browsable API gets the document within its page.
    """
    if isinstance(exc, _DATABASE_ERRORS):
        logger.error("The database does not answer", exc_info=exc)
        unavailable = ServiceUnavailable()
        unavailable.__cause__ = exc
        exc = unavailable
    response = rest_exception_handler(exc, dict(context))
    if response is None:
        return None
    request: Request = context["request"]
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Django's instrumentation records unhandled exceptions only.
        trace.get_current_span().record_exception(exc.__cause__ if isinstance(exc.__cause__, Exception) else exc)
    detail, errors = _described(exc, response.data)
    renderer = getattr(request, "accepted_renderer", None)
    # That page shows the logged-in account, which needs the database.
    if isinstance(renderer, BrowsableAPIRenderer) and not isinstance(exc, ServiceUnavailable):
        response.data = problem(request, response.status_code, detail, errors)
        return response
    # Not a Response, which the view's own renderer would render: Swagger UI's turns everything into HTML.
    answer = problem_response(request, response.status_code, detail, errors)
    for name, value in response.headers.items():
        answer.headers.setdefault(name, value)
    return answer


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if request.path_info.startswith(_ADMIN):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return problem_response(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
    # The exception's own text may quote the request.
    return problem_response(request, HTTPStatus.BAD_REQUEST, "The request cannot be understood.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    if request.path_info.startswith(_ADMIN):
        return defaults.permission_denied(request, exception)
    return problem_response(request, HTTPStatus.FORBIDDEN, "Access is not allowed.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404; redirects with a 308 if the path exists without its trailing slash."""
    if request.path_info.startswith(_ADMIN):
        return defaults.page_not_found(request, exception)
    if request.path_info.endswith("/") and is_valid_path(request.path_info[:-1]):
        query = request.META.get("QUERY_STRING", "")
        target = escape_leading_slashes(request.path[:-1]) + (f"?{query}" if query else "")
        return HttpResponsePermanentRedirect(target, preserve_request=True)
    return problem_response(request, HTTPStatus.NOT_FOUND, "There is nothing at this address.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: answers a request with a browser's session but without its CSRF token."""
    if request.path_info.startswith(_ADMIN):
        return csrf.csrf_failure(request, reason)
    return problem_response(request, HTTPStatus.FORBIDDEN, "CSRF token missing or incorrect.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the exception is being handled: 503 if the database is down."""
    if isinstance(sys.exception(), _DATABASE_ERRORS):
        answer = problem_response(request, HTTPStatus.SERVICE_UNAVAILABLE, ServiceUnavailable.default_detail)
        answer["Retry-After"] = str(ServiceUnavailable.wait)
        return answer
    if request.path_info.startswith(_ADMIN):
        return defaults.server_error(request)
    return problem_response(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; the trace id finds the reason."
    )


def _described(exc: Exception, data: Any) -> tuple[str, Mapping[str, list[str]] | None]:
    """Return the detail, and the errors by field."""
    if isinstance(exc, exceptions.ValidationError):
        return "The request has invalid values.", _by_field(data)
    detail = str(data.get("detail", "")) if isinstance(data, Mapping) else ""
    return detail, getattr(exc, "errors", None)


def _by_field(data: Any) -> dict[str, list[str]]:
    if not isinstance(data, Mapping):
        return {"non_field_errors": _messages(data)}
    return {str(field): _messages(value) for field, value in data.items()}


def _messages(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [message for part in value.values() for message in _messages(part)]
    if isinstance(value, list):
        return [message for part in value for message in _messages(part)]
    return [str(value)]
