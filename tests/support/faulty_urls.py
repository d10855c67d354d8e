"""The service's URLs, and some that hang or fail."""

import os
from pathlib import Path
from time import sleep

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from userapi.urls import handler400, handler403, handler404, handler500
from userapi.urls import urlpatterns as service_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def hang(_request: HttpRequest, seconds: int) -> HttpResponse:
    os.write(2, b"hanging\n")
    sleep(seconds)
    return HttpResponse("late")


def wait(_request: HttpRequest, file: str) -> HttpResponse:
    """Hang with a connection to the database until the file is there."""
    connection.ensure_connection()
    os.write(2, b"hanging\n")
    while not Path("/", file).exists():
        sleep(0.05)
    return HttpResponse("late")


def fail(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault of the test")


def large(_request: HttpRequest) -> HttpResponse:
    """More than the kernel buffers for a client that does not read."""
    return HttpResponse(bytes(32 << 20))


def fork(_request: HttpRequest) -> HttpResponse:
    """Fork a child that lives for several export intervals, as a library might."""
    child = os.fork()
    if child == 0:
        sleep(1.5)
        os._exit(0)
    os.waitpid(child, 0)
    return HttpResponse("the child is gone")


def leave_child(_request: HttpRequest, seconds: int) -> HttpResponse:
    """Fork a child that outlives the request; answer with its process id, once its hooks of the fork have run."""
    ready, child_ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.write(child_ready, b".")
        sleep(seconds)
        os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(child_ready)
    return HttpResponse(str(child))


urlpatterns = [
    path("faults/sleep/<int:seconds>", hang),
    path("faults/until/<path:file>", wait),
    path("faults/error", fail),
    path("faults/large", large),
    path("faults/fork", fork),
    path("faults/leave-child/<int:seconds>", leave_child),
    *service_urlpatterns,
]
