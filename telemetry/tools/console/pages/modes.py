"""How the running services are configured, as they report it: what they send where, and their workers."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.asking.parameters import Parameters
from telemetry.tools.console.counting.counts import ModeTotals
from telemetry.tools.console.counting.senders import Sender
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.pages.shown_modes import colour_of, ordered


@require_safe
def modes(request: ConsoleRequest) -> HttpResponse:
    """A panel for each service and mode."""
    Parameters(request, blank=True)
    store = request.console.store
    totals = store.totals()
    services: dict[tuple[str, str], list[Sender]] = {}
    for sender in store.senders():
        services.setdefault((sender.mode, sender.service), []).append(sender)
    present = ordered({mode for mode, _ in services})
    panels = [
        {
            "mode": mode,
            "service": service,
            "colour": colour_of(mode, present),
            **_configuration(services[mode, service], totals.get(mode, ModeTotals()), store.now_ns()),
        }
        for mode in present
        for _, service in sorted(key for key in services if key[0] == mode)
    ]
    context = {"panels": panels, "targets": request.console.scraper.targets}
    return page(request, "modes", context)


def _configuration(senders: Sequence[Sender], totals: ModeTotals, now_ns: int) -> dict[str, Any]:
    """What a service reports: its workers, the resource of the latest, and where each signal goes."""
    latest = max(senders, key=lambda sender: sender.last_ns)
    report = max(senders, key=lambda sender: (sender.report is not None, sender.report_ns)).report
    workers = [(sender.is_silent(now_ns), sender) for sender in senders]
    metrics = (totals.scraped_samples, "samples") if totals.scraped_samples else (totals.data_points, "data points")
    arrived = {"traces": (totals.spans, "spans"), "metrics": metrics, "logs": (totals.log_records, "log records")}
    return {
        "workers": sorted(workers, key=lambda each: (each[0], str(each[1].slot), each[1].instance)),
        "resource": {name: value for name, value in sorted(latest.resource.items()) if name != "service.instance.id"},
        "destinations": [
            (signal, (report or {}).get(f"telemetry.{signal}", "not reported"), *count)
            for signal, count in arrived.items()
        ],
        "reported": report is not None,
    }
