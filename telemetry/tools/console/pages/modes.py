"""Which modes pages show, in which order and colour; the page of how they are configured, as services report it."""

from collections.abc import Iterable, Sequence
from typing import Any

from telemetry.tools.console.asking.parameters import Parameters
from telemetry.tools.console.counting.counts import ModeTotals
from telemetry.tools.console.counting.senders import Sender
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.origin import UNKNOWN_MODE
from telemetry.tools.console.storage.store import Store

#: The modes of the service; each keeps its colour when the other is not there.
MODES = ("collector", "direct")
#: The end of the `service.name` of what `manage.py doctor` sends, which has no mode.
_DOCTOR = "-doctor"
#: The style sheet's colours of lines.
_COLOURS = 8


def ordered(modes: Iterable[str]) -> list[str]:
    """The service's modes first, then others by name."""
    known = set(modes)
    return [mode for mode in MODES if mode in known] + sorted(known - set(MODES))


def shown_modes(store: Store) -> list[str]:
    """The modes of which something has arrived; "unknown" only for spans or log records of others than the doctor."""
    others = any(
        sender.mode == UNKNOWN_MODE
        and not sender.service.endswith(_DOCTOR)
        and sender.signals.keys() & {"traces", "logs"}
        for sender in store.senders()
    )
    return ordered(mode for mode in store.totals() if mode != UNKNOWN_MODE or others)


def colour_of(mode: str, modes: Iterable[str]) -> int:
    """The number of a mode's colour; a mode that is not among `modes` has the first one after the service's."""
    known = ordered({*MODES, *modes})
    return known.index(mode) % _COLOURS if mode in known else len(MODES)


@page("modes")
def modes(console: Console, _parameters: Parameters) -> dict[str, Any]:
    """A panel for each service and mode."""
    totals, now_ns = console.store.totals(), console.store.now_ns()
    services: dict[tuple[str, str], list[Sender]] = {}
    for sender in console.store.senders():
        services.setdefault((sender.mode, sender.service), []).append(sender)
    present = ordered(mode for mode, _ in services)
    panels = [
        {
            "mode": mode,
            "service": service,
            "colour": colour_of(mode, present),
            **_configuration(senders, totals.get(mode, ModeTotals()), now_ns),
        }
        for (mode, service), senders in sorted(services.items(), key=lambda item: (present.index(item[0][0]), item[0]))
    ]
    return {"panels": panels, "targets": console.scraper.targets}


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
