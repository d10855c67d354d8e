"""The view of `/metrics`, which Prometheus scrapes in direct mode."""

from hmac import compare_digest

from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch
from django.views.decorators.http import require_safe

from telemetry import lifecycle
from telemetry.journal.asking import NoAnswerError

# Prometheus's scrape_timeout is 10 s by default; a new exporter answers within 2 s.
_ANSWER_SECONDS = 5.0


def is_scraped() -> bool:
    """Return whether this service answers scrapes."""
    return lifecycle.load_config().metrics.exporter == "prometheus"


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics of all processes, as Prometheus text or OpenMetrics according to the Accept header.

    404 if this service exports its metrics in another way; 401 without the bearer token of METRICS_TOKEN; 503 if the
    exporter does not answer, so that no counter appears to decrease.
    """
    if request.resolver_match is None:  # answered by the middleware: its path, for what Django logs of a refusal
        request.resolver_match = ResolverMatch(metrics, (), {}, route=request.path_info.removeprefix("/"))
    config = lifecycle.load_config()
    if not is_scraped():
        return _refused(404, "This service does not answer /metrics: it does with TELEMETRY_MODE=direct.")
    token, given = config.metrics_token, _bearer(request)
    if token and (given is None or not compare_digest(given.encode(), token.encode())):
        answer = _refused(401, "A bearer token is needed (METRICS_TOKEN).")
        answer["WWW-Authenticate"] = "Bearer" if given is None else 'Bearer error="invalid_token"'
        return answer
    recording = lifecycle.recording()
    try:
        if recording is None:
            raise NoAnswerError("telemetry is off")  # noqa: TRY301  (answered as any other reason)
        body, content_type = recording.scrape(request.headers.get("Accept", ""), _ANSWER_SECONDS)
    except NoAnswerError as error:
        return _refused(503, f"The metrics cannot be read: {error}.")
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})


def _refused(status: int, reason: str) -> HttpResponse:
    return HttpResponse(f"{reason}\n", status=status, content_type="text/plain; charset=utf-8")


def _bearer(request: HttpRequest) -> str | None:
    """Return the token of the Authorization header, None if it is missing or uses another scheme."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None
