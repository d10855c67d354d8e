"""What telemetry may say of a request's method and path: a few known words, and the template of the route."""

import logging
import re
from functools import cache

from django.conf import settings
from django.http import HttpRequest

from telemetry.journal.records import METHODS, OTHER_METHOD

UNMATCHED = "unmatched"
"""The log records' word for a path without a route; spans and metrics have no `http.route` then."""

_CONVERTER = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")
_NAMED_GROUP = re.compile(r"\(\?P<([^<>]+)>(?:[^()]|\([^()]*\))*\)")


def known_method(request: HttpRequest) -> str:
    """Return the request's method, or `_OTHER` for one that HTTP does not know."""
    method = request.method or ""
    return method if method in METHODS else OTHER_METHOD


def matched_route(request: HttpRequest) -> str | None:
    """Return the matched route as `/users/{id}`, the static files as one, and None for anything else.

    The set of results is bounded by the URL configuration and never holds a part of the path.
    """
    match = request.resolver_match
    if match is not None:
        return template_of(match.route)
    if settings.STATIC_URL and request.path_info.startswith(settings.STATIC_URL):
        return f"{settings.STATIC_URL}{{path}}"
    return None


@cache
def template_of(route: str) -> str:
    """Return Django's route, converters (`<uuid:id>`) and regular expressions alike, with `{name}` for parameters."""
    template = _NAMED_GROUP.sub(r"{\1}", route)
    template = _CONVERTER.sub(r"{\1}", template)
    return "/" + re.sub(r"[\^$?\\]", "", template)


class RouteInsteadOfPath(logging.Filter):
    """Puts the template where Django's loggers put the path: "Not Found: /users/{id}"."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            # Django escapes what is not ASCII.
            paths = (request.path, request.path.encode("unicode_escape").decode("ascii"))
            route = matched_route(request) or UNMATCHED
            record.args = tuple(route if arg in paths else arg for arg in record.args)
        return True
