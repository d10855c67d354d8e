"""The middleware of telemetry, inserted automatically at the start of MIDDLEWARE.

A project may list them in other positions: `"telemetry.middleware.requests"`, `"telemetry.middleware.access_log"`.
"""

from typing import Any

from django.core.exceptions import MiddlewareNotUsed
from django.utils.decorators import sync_and_async_middleware

from telemetry import lifecycle


@sync_and_async_middleware
def requests(get_response: Any) -> Any:
    """Record each request, and answer scrapes in direct mode; not used if telemetry is off."""
    recording = lifecycle.recording()
    if recording is None:
        raise MiddlewareNotUsed
    recording.patch()
    from telemetry import views

    path = lifecycle.project().metrics_path
    answers = {} if path is None or not views.is_scraped() else {path: views.metrics}
    if lifecycle.load_config().instrumentation == "contrib":
        from telemetry.recording.contrib import answering

        return answering(get_response, answers)
    from telemetry.recording.options import options_of

    return options_of(lifecycle.load_config())(get_response, answers)


@sync_and_async_middleware
def access_log(get_response: Any) -> Any:
    """Write the access record of each request, in any mode; inside `requests`, so that it belongs to its trace."""
    from telemetry.access import AccessLogMiddleware

    project = lifecycle.project()
    if project.access_logger is None:
        raise MiddlewareNotUsed
    return AccessLogMiddleware(get_response, project.access_logger, project.untraced)
