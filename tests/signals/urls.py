"""The service's URLs, and some whose views fail in the ways that Django and REST framework distinguish."""

import logging

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.signals import request_finished
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, re_path
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from tests.signals import user_code
from userapi.urls import handler400, handler403, handler404, handler500
from userapi.urls import urlpatterns as service_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

logger = logging.getLogger(__name__)


class Busy(APIException):
    status_code = 503
    default_detail = "busy"


class BusyView(APIView):
    permission_classes = (AllowAny,)

    def get(self, _request: Request) -> HttpResponse:
        raise Busy


def fault(_request: HttpRequest, kind: str) -> HttpResponse:
    if kind == "bug":
        raise RuntimeError("a fault of the test")
    raise {"suspicious": SuspiciousOperation, "denied": PermissionDenied, "missing": Http404}[kind]("on purpose")


def report_outside(**_: object) -> None:
    """Runs in a thread that has served requests, after the answer was sent."""
    logger.info("outside of any request")


request_finished.connect(report_outside)

urlpatterns = [
    path("faults/busy", BusyView.as_view()),
    re_path(r"^faults/(?P<kind>bug|suspicious|denied|missing)$", fault),
    path("touch", user_code.touch),
    path("queries", user_code.queries),
    path("calls/<str:library>", user_code.call),
    *service_urlpatterns,
]
