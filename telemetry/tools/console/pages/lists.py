"""What the lists of traces and of log records have in common: filters, the pages before and after, saving."""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.asking.parameters import Parameters
from telemetry.tools.console.pages.rendering import page, with_query
from telemetry.tools.console.pages.shown_modes import services_of

MOST_LISTED = 500


def list_page(
    request: ConsoleRequest, name: str, parameters: Parameters, context: dict[str, Any], *, usual: int, more: bool
) -> HttpResponse:
    """The page of a list with `usual` lines; `more` says that something comes after the last one."""
    limit, skip = parameters.listing(usual, MOST_LISTED)
    given, now_ns = parameters.given, request.console.store.now_ns()
    # What arrives meanwhile does not move the pages before and after.
    until = datetime.fromtimestamp(now_ns / 1e9 + 1e-3, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")

    def at(place: int) -> str:
        return with_query(f"/{name}", **{"to": until} | given | {"skip": str(place) if place else ""})

    kept = {key: value for key, value in given.items() if key not in {"sort", "skip", "limit"}}
    context = {
        "address": f"/{name}",
        "wanted": given,
        "newer": at(max(skip - limit, 0)) if skip else None,
        "older": at(skip + limit) if more else None,
        "save": with_query(f"/api/save/{name}", **kept),
        "services": services_of(request.console.store),
        **context,
    }
    return page(request, name, context)
