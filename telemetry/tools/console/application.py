"""The console's pages and JSON API as a WSGI application built from Django's parts, independent of Django's settings.

The console also runs inside processes with the settings of another site (tests run it beside the service). So requests
do not go through Django's own handler, which would use that site's middleware, URLconf and ALLOWED_HOSTS.
"""

import ipaddress
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, UnreadablePostError
from django.http.request import split_domain_port
from django.urls.resolvers import get_resolver

from telemetry.tools.console.asking.parameters import ParameterError
from telemetry.tools.console.pages.rendering import JSON, error, error_page

if TYPE_CHECKING:
    from telemetry.tools.console.server import Console

_logger = logging.getLogger(__name__)

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ConsoleApplication:
    """Serves `telemetry.tools.console.urls`, whose views take a request and the console.

    Refuses requests whose Host is not this machine's loopback or the bound host: a web page whose own name resolves to
    127.0.0.1 must not read telemetry (DNS rebinding). Refuses cross-site writes.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._host = console.host.lower()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self._respond(environ)
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        # Not the response itself: its close() would send request_finished to the other site's code.
        body: Iterable[bytes] = [response.content] if isinstance(response, HttpResponse) else iter(response)
        if is_head or isinstance(response, HttpResponse):
            # Without it the connection would be closed, and an answer to HEAD would contain the end of a body.
            response.headers["Content-Length"] = str(sum(map(len, body)))
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [] if is_head else body

    def _respond(self, environ: WSGIEnvironment) -> HttpResponseBase:
        host, method = environ.get("HTTP_HOST", ""), environ["REQUEST_METHOD"]
        if not self._is_ours(host):
            expected = "localhost, a loopback address or the host that the console is bound to"
            return error(400, f"Host is {host!r}; expected {expected}")
        origin = environ.get("HTTP_ORIGIN", f"http://{host}")
        if method not in _SAFE_METHODS and origin.lower() != f"http://{host}".lower():
            return error(403, f"Origin is {origin!r}; expected http://{host}")
        # Bodies are JSON in UTF-8, whatever their type says: not all of Python's codecs are text encodings.
        return self._answer(WSGIRequest({**environ, "CONTENT_TYPE": JSON}), method)

    def _answer(self, request: WSGIRequest, method: str) -> HttpResponseBase:
        try:
            match = get_resolver("telemetry.tools.console.urls").resolve(request.path_info)
            response: HttpResponseBase = match.func(request, self._console, **match.kwargs)
        except ParameterError as bad:
            return error_page(request, 400, str(bad), parameter=bad.parameter, value=bad.value, expected=bad.expected)
        except BadRequest as bad:
            return error_page(request, 400, str(bad))
        except (SuspiciousOperation, UnreadablePostError) as bad:
            _logger.debug("%s %s refused: %s", method, request.path_info, bad)
            return error_page(request, 400, "the request is too large, or cannot be read to its end")
        except Http404 as missing:
            # A resolver's Http404 holds a list of patterns, a view's a sentence.
            text = missing.args[0] if missing.args and isinstance(missing.args[0], str) else "no such page; start at /"
            return error_page(request, 404, text)
        except Exception:
            _logger.exception("%s %s failed", method, request.path_info)
            return error(500, "the console failed; its log has the reason")
        if isinstance(response, HttpResponseNotAllowed):
            allowed = response.headers["Allow"]
            response = error_page(request, 405, f"the method is {method}; expected {allowed}")
            response.headers["Allow"] = allowed
        return response

    def _is_ours(self, host: str) -> bool:
        name = split_domain_port(host)[0].strip("[]")
        if name in {"localhost", self._host}:
            return True
        # With a wildcard address clients use the machine's IP addresses; rebinding needs a name.
        try:
            return ipaddress.ip_address(name).is_loopback or ipaddress.ip_address(self._host).is_unspecified
        except ValueError:
            return False
