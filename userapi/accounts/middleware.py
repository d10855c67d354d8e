"""429 responses of login pages; REST framework's views create their own."""

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import Throttled

from userapi.accounts.attempts import LOCKED_OUT
from userapi.accounts.backends import RETRY_AFTER
from userapi.problems import problem_response


class ThrottledMiddleware:
    """Turns Throttled into a 429 response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, Throttled):
            return None
        return _later(request, str(exception.detail), RETRY_AFTER)


def locked_out(request: HttpRequest, *_: object) -> HttpResponse:
    """Return the response for an address with too many failed attempts; called by django-axes."""
    return _later(request, LOCKED_OUT, settings.AXES_COOLOFF_TIME.total_seconds())


def _later(request: HttpRequest, detail: str, seconds: float) -> HttpResponse:
    response = problem_response(request, HTTPStatus.TOO_MANY_REQUESTS, detail)
    response["Retry-After"] = f"{seconds:.0f}"
    return response
