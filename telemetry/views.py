"""`/metrics`: what Prometheus scrapes in direct mode."""

from hmac import compare_digest

from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.http import require_safe

from telemetry import lifecycle


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics of all workers, as Prometheus text or OpenMetrics by the Accept header.

    404 where this service exports its metrics another way; 401 without the bearer token that METRICS_TOKEN asks for;
    503 where this worker cannot tell of all, so that no counter seems to have gone back.
    """
    config = lifecycle.load_config()
    if config.metrics.exporter != "prometheus":
        return HttpResponseNotFound("This service does not answer /metrics: it does with TELEMETRY_MODE=direct.\n")
    token = config.metrics_token
    if token and not _bears(request, token):
        return HttpResponse(
            "A bearer token is needed (METRICS_TOKEN).\n", status=401, headers={"WWW-Authenticate": "Bearer"}
        )
    pipeline = lifecycle.current()
    if pipeline is None or pipeline.scrape is None:
        return HttpResponse("This worker's telemetry did not start; its log says why.\n", status=503)
    try:
        body, content_type = pipeline.scrape.render(request.headers.get("Accept", ""))
    except FileNotFoundError:
        return HttpResponse("The workers' shared state is gone; a restart makes it again.\n", status=503)
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})


def _bears(request: HttpRequest, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and compare_digest(given.strip().encode(), token.encode())
