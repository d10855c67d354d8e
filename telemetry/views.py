"""`/metrics`: what Prometheus scrapes in direct mode."""

from hmac import compare_digest

from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.http import require_safe

from telemetry import lifecycle


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics of all workers, as Prometheus text or OpenMetrics by the Accept header.

    404 where this service exports its metrics another way; 401 without the bearer token that METRICS_TOKEN asks for.
    """
    pipeline = lifecycle.current()
    if pipeline is None or pipeline.scrape is None:
        return HttpResponseNotFound("This service does not answer /metrics: it does with TELEMETRY_MODE=direct.\n")
    token = lifecycle.load_config().metrics_token
    if token and not compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        return HttpResponse(
            "A bearer token is needed (METRICS_TOKEN).\n", status=401, headers={"WWW-Authenticate": "Bearer"}
        )
    body, content_type = pipeline.scrape.render(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})
