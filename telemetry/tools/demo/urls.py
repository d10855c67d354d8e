"""The service's URLs, and one that fails on purpose, so that the demo has failures to look at."""

from importlib import import_module

from django.http import HttpRequest, HttpResponse
from django.urls import path

from telemetry.tools.demo.settings import SERVICE_URLCONF
from telemetry.tools.traffic.visits import FAILING_PATH

_PRICES: dict[str, int] = {}


class PriceError(Exception):
    """The demo's own failure."""


def fail(_request: HttpRequest) -> HttpResponse:
    """Raise an exception that has a cause, as unfinished code does."""
    try:
        return HttpResponse(_PRICES["basic"])
    except KeyError as error:
        raise PriceError("the demo fails here on purpose") from error


_service = import_module(SERVICE_URLCONF)
urlpatterns = [path(FAILING_PATH.removeprefix("/"), fail), *_service.urlpatterns]
# Django looks for the service's error handlers here.
globals().update({name: handler for name, handler in vars(_service).items() if name.startswith("handler")})
