"""The template of a request's route: what telemetry may say about a path."""

import logging
import re

from django.conf import settings
from django.http import HttpRequest

UNMATCHED = "unmatched"

_CONVERTER = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")
_NAMED_GROUP = re.compile(r"\(\?P<([^<>]+)>(?:[^()]|\([^()]*\))*\)")


def route_template(request: HttpRequest) -> str:
    """Return the matched route as `/users/{id}`, the static files as one, and "unmatched" for anything else.

    The set of results is bounded by the URL configuration and never holds a part of the path.
    """
    match = request.resolver_match
    if match is not None:
        return template_of(match.route)
    if request.path_info.startswith(settings.STATIC_URL):
        return f"{settings.STATIC_URL}{{path}}"
    return UNMATCHED


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
            record.args = tuple(route_template(request) if arg in paths else arg for arg in record.args)
        return True
