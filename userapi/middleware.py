"""Middleware for all requests: probes, hosts, guards, static files."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from threading import Lock

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

from telemetry.views import metrics
from userapi import health
from userapi.problems import problem_response
from userapi.requests import exceeds

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_PROBES = {"/livez": health.livez, "/readyz": health.readyz, "/metrics": metrics}
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


class ProbeMiddleware:
    """Answers /livez, /readyz and /metrics before all other middleware.

    Probes and scrapes use the pod's address as host, and plain HTTP; they must not appear in traces, request metrics or
    access records.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = _PROBES.get(request.path_info)
        if view is None:
            return self._get_response(request)
        if request.method not in ("GET", "HEAD"):
            response = problem_response(request, HTTPStatus.METHOD_NOT_ALLOWED, "Accepted: GET, HEAD.")
            response["Allow"] = "GET, HEAD"
        else:
            response = view(request)
        response["Cache-Control"] = "no-store"
        response["Content-Length"] = str(len(response.content))
        return response


class HeadMiddleware:
    """Removes the body from responses to HEAD; gunicorn would do so, too, but with a warning for each."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if request.method == "HEAD" and isinstance(response, HttpResponse):
            response.headers.setdefault("Content-Length", str(len(response.content)))
            response.content = b""
        return response


class ContentSecurityPolicyMiddleware(CSPMiddleware):
    """Adds the policy to HTML only, as it has no effect on JSON."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)


class HostMiddleware:
    """Refuses a host that is not in DJANGO_ALLOWED_HOSTS, without a stack trace."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            request.get_host()
        except DisallowedHost:
            return problem_response(request, HTTPStatus.BAD_REQUEST, "The host is not in DJANGO_ALLOWED_HOSTS.")
        return self._get_response(request)


class RequestGuardMiddleware:
    """Refuses requests that Django would read without a limit or answer with a 500."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._refusal(request) or self._get_response(request)

    @staticmethod
    def _refusal(request: HttpRequest) -> HttpResponse | None:
        # REST framework's parsers read the stream and ignore DATA_UPLOAD_MAX_MEMORY_SIZE.
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if exceeds(request.META.get("CONTENT_LENGTH") or "", limit):
            detail = f"The body is too large; expected at most {limit} bytes."
            return problem_response(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        # Django does not read a body of unknown length, so all fields would seem to be missing.
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            return problem_response(request, HTTPStatus.LENGTH_REQUIRED, "Accepted: bodies with a Content-Length.")
        # `UTF8Request` reads UTF-8 only: another charset is refused here rather than misread.
        charset = (request.content_params or {}).get("charset")
        if charset is not None and charset.lower() not in _CHARSETS:
            return problem_response(request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Accepted charset: utf-8.")
        # Neither Django nor REST framework decodes a body.
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            return problem_response(
                request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Accepted: bodies without a Content-Encoding."
            )
        problem = _bad_header(request)
        return problem_response(request, HTTPStatus.BAD_REQUEST, problem) if problem else None


def _bad_header(request: HttpRequest) -> str | None:
    # A part that would be stored as the whole (RFC 9110, section 14.5).
    if request.method == "PUT" and "Content-Range" in request.headers:
        return "Accepted: bodies without a Content-Range."
    # A quoted cookie can contain an escaped NUL, which PostgreSQL refuses in a session key.
    if any("\0" in value for value in request.COOKIES.values()):
        return "A cookie holds a NUL character."
    return None


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # WhiteNoise has no types
    """WhiteNoise that looks for files at the first request for one, which most processes never get.

    Without its warning before `collectstatic` has run, as the finders serve the files then.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._looking = Lock()
        self._has_looked = False
        self._roots: list[tuple[str | Path, str | None]] = []
        super().__init__(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not self._has_looked and request.path_info.startswith(self.static_prefix):
            with self._looking:
                if not self._has_looked:
                    self._look()
                    self._has_looked = True
        response: HttpResponseBase = super().__call__(request)
        return response

    def add_files(self, root: str | Path, prefix: str | None = None) -> None:
        """Remember a folder."""
        self._roots.append((root, prefix))

    def add_files_from_finders(self) -> None:
        """Defer this to the first request for a file."""

    def _look(self) -> None:
        for root, prefix in self._roots:
            if Path(root).is_dir():
                super().add_files(root, prefix)
        if self.use_finders and not self.autorefresh:
            super().add_files_from_finders()
