"""All URLs of the service."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone

_NOON, _EVENING = 12, 18


def greeting(_request: HttpRequest) -> HttpResponse:
    """Return a greeting for the time of day."""
    hour = timezone.now().hour
    part = "morning" if hour < _NOON else "afternoon" if hour < _EVENING else "evening"
    return JsonResponse({"greeting": f"Good {part}"})


def livez(_request: HttpRequest) -> HttpResponse:
    """Answer 200 while the process runs; telemetry does not record the paths of probes."""
    return HttpResponse("ok")


urlpatterns = [path("greeting", greeting), path("livez", livez), path("readyz", livez)]
