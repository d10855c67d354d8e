"""The service's URLs, and some that fail in the ways that a round needs."""

from time import sleep

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.views import APIView

from userapi.urls import handler400, handler403, handler404, handler500
from userapi.urls import urlpatterns as service_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def fail(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault of the test")


def be_slow(_request: HttpRequest) -> HttpResponse:
    sleep(0.3)
    return HttpResponse("late")


class Unavailable(APIView):
    """A database that is down while a view asks it."""

    def get(self, _request: Request) -> HttpResponse:
        raise OperationalError("the database of the test is down")


urlpatterns = [
    path("contract/error", fail),
    path("contract/slow", be_slow),
    path("contract/unavailable", Unavailable.as_view()),
    *service_urlpatterns,
]
