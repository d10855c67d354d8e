"""How the running services are configured, as they report it: what they send where, and their workers."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.counts import ModeTotals
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.pages.shown_modes import colour_of, ordered
from telemetry.tools.console.parameters import Parameters
from telemetry.tools.console.senders import Sender
from telemetry.tools.console.values import PlainValue

_SIGNALS = ("traces", "metrics", "logs")
_PER_WORKER = ("service.instance.id",)
_UNREPORTED = "not reported"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a signal goes, as the service reports it, and how much of it has arrived here."""

    signal: str
    where: str
    arrived: int
    unit: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker process."""

    sender: Sender
    slot: PlainValue
    silent: bool


@dataclass(frozen=True, slots=True)
class ServicePanel:
    """One service in one mode."""

    mode: str
    colour: int
    service: str
    workers: list[WorkerRow]
    destinations: list[Destination]
    resource: dict[str, PlainValue]
    reported: bool

    @property
    def is_direct(self) -> bool:
        """Whether it is the mode without a collector."""
        return self.mode == "direct"


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
        _panel(mode, service, services[mode, service], totals.get(mode), colour_of(mode, present), store.now_ns())
        for mode in present
        for _, service in sorted(key for key in services if key[0] == mode)
    ]
    context = {"panels": panels, "targets": request.console.scraper.targets}
    return page(request, "modes", context)


def _panel(  # noqa: PLR0917
    mode: str, service: str, senders: Sequence[Sender], totals: ModeTotals | None, colour: int, now_ns: int
) -> ServicePanel:
    latest = max(senders, key=lambda sender: sender.last_ns)
    reports = [sender for sender in senders if sender.report is not None]
    report = max(reports, key=lambda sender: sender.report_ns).report if reports else None
    workers = [
        WorkerRow(sender, (sender.report or {}).get("worker.slot"), sender.is_silent(now_ns)) for sender in senders
    ]
    return ServicePanel(
        mode=mode,
        colour=colour,
        service=service,
        workers=sorted(workers, key=lambda row: (row.silent, str(row.slot), row.sender.instance)),
        destinations=_destinations(report or {}, totals),
        resource={name: value for name, value in sorted(latest.resource.items()) if name not in _PER_WORKER},
        reported=report is not None,
    )


def _destinations(report: dict[str, PlainValue], totals: ModeTotals | None) -> list[Destination]:
    scraped = bool(totals and totals.scraped_samples)
    arrived = {
        "traces": (totals.spans, "spans"),
        "metrics": (totals.scraped_samples, "samples") if scraped else (totals.data_points, "data points"),
        "logs": (totals.log_records, "log records"),
    } if totals else dict.fromkeys(_SIGNALS, (0, "records"))  # fmt: skip
    return [
        Destination(signal, str(report.get(f"telemetry.{signal}", _UNREPORTED)), *arrived[signal])
        for signal in _SIGNALS
    ]
