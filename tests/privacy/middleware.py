"""Lets the leaking views take forms."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase


class NoCsrfForLeaks:
    """Comes after Django's own check, which looks for the mark when the view is known."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith("/leaks/"):
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        return self._get_response(request)
