"""The console's pages and JSON API as a WSGI application of Django's parts, apart from the process's Django settings.

The console also runs inside processes whose settings are those of another site (tests run it beside the service). So
requests do not go through Django's own handler, which would run that site's middleware, URLconf and ALLOWED_HOSTS.
"""

import ipaddress
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.urls.resolvers import get_resolver

from telemetry.tools.console.asking.parameters import ParameterError

if TYPE_CHECKING:
    from telemetry.tools.console.server import Console


_logger = logging.getLogger(__name__)

URLCONF = "telemetry.tools.console.urls"

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ConsoleRequest(WSGIRequest):
    """A request to the console; `console` is what its views work on."""

    console: "Console"


class ConsoleApplication:
    """Serves `telemetry.tools.console.urls`.

    Refuses requests whose Host is not this machine's loopback or the bound host: a web page that has its own name
    resolve to 127.0.0.1 must not read telemetry (DNS rebinding). Refuses writes that come from pages of other sites.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._host = console.host.lower()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self._respond(environ)
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        # Not the response itself: its close() would send request_finished to the other site's code.
        return [response.content] if isinstance(response, HttpResponse) else iter(response)

    def _respond(self, environ: WSGIEnvironment) -> HttpResponseBase:
        host = environ.get("HTTP_HOST", "")
        if not self._is_ours(host):
            expected = "localhost, a loopback address or the host that the console is bound to"
            return error_response(400, f"Host is {host!r}; expected {expected}")
        if environ["REQUEST_METHOD"] not in _SAFE_METHODS and not _same_origin(environ, host):
            return error_response(403, f"Origin is {environ['HTTP_ORIGIN']!r}; expected http://{host}")
        return self._view_response(environ)

    def _view_response(self, environ: WSGIEnvironment) -> HttpResponseBase:
        try:
            request = ConsoleRequest(environ)
        except UnicodeDecodeError:
            return error_response(400, "the path is not UTF-8")
        request.console = self._console
        try:
            return self._checked_response(request)
        except ParameterError as error:
            details = {"parameter": error.parameter, "value": error.value, "expected": error.expected}
            return _error(request, 400, str(error), **details)
        except Http404 as missing:
            # A resolver's Http404 holds a list of patterns, a view's a sentence.
            text = missing.args[0] if missing.args and isinstance(missing.args[0], str) else "no such page; start at /"
            return _error(request, 404, text)
        except UnicodeDecodeError:
            return _error(request, 400, "the path or the query is not UTF-8")
        except Exception:
            _logger.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return error_response(500, "the console failed; its log has the reason")

    @staticmethod
    def _checked_response(request: ConsoleRequest) -> HttpResponseBase:
        match = get_resolver(URLCONF).resolve(request.path_info)
        view: Callable[..., HttpResponseBase] = match.func
        response = view(request, *match.args, **match.kwargs)
        if isinstance(response, HttpResponseNotAllowed):
            allowed = response.headers["Allow"]
            response = _error(request, 405, f"the method is {request.method}; expected {allowed}")
            response.headers["Allow"] = allowed
        return response

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in {"localhost", self._host}:
            return True
        address, bound = _address(name), _address(self._host)
        # On a wildcard address the console is reached by the machine's addresses; rebinding needs a name.
        return bool(address and (address.is_loopback or (bound and bound.is_unspecified)))


def error_response(status: int, message: str, **details: object) -> JsonResponse:
    """The one shape of the API's errors: {"error": {"message": ..., ...}}."""
    return JsonResponse({"error": {"message": message, **details}}, status=status)


def _error(request: ConsoleRequest, status: int, message: str, **details: object) -> HttpResponse:
    """An error as a page for browsers, else in the API's shape."""
    if "text/html" in request.META.get("HTTP_ACCEPT", "") and not request.path_info.startswith("/api"):
        from telemetry.tools.console.pages.rendering import page

        return page(request, "error", {"status": status, "message": message}, status=status)
    return error_response(status, message, **details)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _same_origin(environ: WSGIEnvironment, host: str) -> bool:
    origin = environ.get("HTTP_ORIGIN")
    return origin is None or origin.lower() == f"http://{host}".lower()
