"""The exported forms of a request's method and path: known methods, and the template of the route."""

import logging
import re
from functools import cache

from django.conf import settings
from django.http import HttpRequest

from telemetry.journal.records import METHODS, OTHER_METHOD

UNMATCHED = "unmatched"
"""The route of a path without one in log records; spans and metrics then have no `http.route`."""

_CONVERTER = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")
_NAMED_GROUP = re.compile(r"\(\?P<([^<>]+)>")
# In a regular expression: an escaped character, a set, or a parenthesis.
_PARENTHESIS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|([()])")
_NOISE = re.compile(r"\(\?:|[\^$?]|\\[AZ]|\\(?=\W)")


def known_method(request: HttpRequest) -> str:
    """Return the request's method, or `_OTHER` for an unknown one."""
    method = request.method or ""
    return method if method in METHODS else OTHER_METHOD


def matched_route(request: HttpRequest) -> str | None:
    """Return the matched route, such as `/users/{id}`, one route for all static files, and None for anything else.

    The set of results is limited by the URL configuration and never contains a part of the path.
    """
    match = request.resolver_match
    if match is not None:
        return None if match.route is None else template_of(match.route)  # None: made without one by the project
    static = _static_url()
    if static and request.path.startswith(static):
        return f"{static.removeprefix(request.path.removesuffix(request.path_info))}{{path}}"
    return None


def _static_url() -> str | None:
    """Return STATIC_URL, with the script's name, as the path; Django keeps the first one that anybody asks for."""
    asked = "STATIC_URL" in vars(settings)
    static: str | None = settings.STATIC_URL
    if not asked:  # perhaps for a probe, which reaches the server without the script's name
        vars(settings).pop("STATIC_URL", None)
    return static


@cache
def template_of(route: str) -> str:
    """Return Django's route, with converters (`<uuid:id>`) or a regular expression, with `{name}` for parameters."""
    while group := _NAMED_GROUP.search(route):
        route = f"{route[: group.start()]}{{{group[1]}}}{route[_end_of_group(route, group.end()) :]}"
    template = _CONVERTER.sub(r"{\1}", route)
    return "/" + _NOISE.sub(lambda found: "(" if found[0] == "(?:" else "", template)


def _end_of_group(route: str, start: int) -> int:
    """Return the index after the parenthesis that closes the group with its content from `start` on."""
    depth = 1
    for found in _PARENTHESIS.finditer(route, start):
        depth += {"(": 1, ")": -1}.get(found[1], 0)
        if depth == 0:
            return found.end()
    return len(route)


class RouteInsteadOfPath(logging.Filter):
    """Replaces the path in Django's log messages with the route's template: "Not Found: /users/{id}"."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            # Django escapes non-ASCII characters.
            paths = (request.path, request.path.encode("unicode_escape").decode("ascii"))
            route = matched_route(request) or UNMATCHED
            record.args = tuple(route if arg in paths else arg for arg in record.args)
        return True
