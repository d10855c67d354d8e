"""Every address of the service."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone

_NOON, _EVENING = 12, 18


def greeting(_request: HttpRequest) -> HttpResponse:
    """Return what to say at this time of the day."""
    hour = timezone.now().hour
    part = "morning" if hour < _NOON else "afternoon" if hour < _EVENING else "evening"
    return JsonResponse({"greeting": f"Good {part}"})


def livez(_request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does; telemetry leaves the paths of probes out."""
    return HttpResponse("ok")


urlpatterns = [path("greeting", greeting), path("livez", livez), path("readyz", livez)]
