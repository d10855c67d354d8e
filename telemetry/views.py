"""`/metrics`: what Prometheus scrapes in direct mode."""

from hmac import compare_digest

from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.http import require_safe

from telemetry import lifecycle
from telemetry.journal.asking import NoAnswerError

# Prometheus waits 10 s by default; a new exporter answers within two.
_ANSWER_SECONDS = 5.0


def is_scraped() -> bool:
    """Return whether this service answers scrapes."""
    return lifecycle.load_config().metrics.exporter == "prometheus"


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics of all processes, as Prometheus text or OpenMetrics by the Accept header.

    404 where this service exports its metrics another way; 401 without the bearer token that METRICS_TOKEN asks for;
    503 where the exporter does not answer, so that no counter seems to have gone back.
    """
    config = lifecycle.load_config()
    if not is_scraped():
        return HttpResponseNotFound("This service does not answer /metrics: it does with TELEMETRY_MODE=direct.\n")
    token = config.metrics_token
    if token and not _bears(request, token):
        return HttpResponse(
            "A bearer token is needed (METRICS_TOKEN).\n", status=401, headers={"WWW-Authenticate": "Bearer"}
        )
    recording = lifecycle.recording()
    try:
        if recording is None:
            raise NoAnswerError("telemetry is off")  # noqa: TRY301  (answered as any other reason)
        body, content_type = recording.scrape(request.headers.get("Accept", ""), _ANSWER_SECONDS)
    except NoAnswerError as error:
        return HttpResponse(f"The metrics cannot be read: {error}.\n", status=503)
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})


def _bears(request: HttpRequest, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and compare_digest(given.strip().encode(), token.encode())
