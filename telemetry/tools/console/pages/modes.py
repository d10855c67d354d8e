"""The modes that pages show, their comparison and their configuration."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from telemetry.tools.console.asking.parameters import WINDOWS, Parameters
from telemetry.tools.console.counting.accounts import accounts, stored_share
from telemetry.tools.console.counting.counts import Fates, ModeTotals
from telemetry.tools.console.counting.senders import Sender
from telemetry.tools.console.pages.charts import Chart, Colours, Line, ordered
from telemetry.tools.console.pages.formats import number, percent, seconds
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.history import NO_FIGURES, Figures
from telemetry.tools.console.storage.records import UNKNOWN_MODE
from telemetry.tools.console.storage.store import Store

#: The end of the `service.name` in the telemetry of `manage.py doctor`, which has no mode.
_DOCTOR = "-doctor"
_STEPS = 75
_YOUNG_NS = 90 * 10**9
#: The time that items may be in transit: metrics are pushed every 15 seconds by default, spans sooner.
_UNDER_WAY_SECONDS = 20


def shown_modes(store: Store) -> list[str]:
    """Return the modes with telemetry; "unknown" only for spans or log records that are not the doctor's."""
    others = any(
        sender.mode == UNKNOWN_MODE
        and not sender.service.endswith(_DOCTOR)
        and sender.signals.keys() & {"traces", "logs"}
        for sender in store.senders()
    )
    return ordered(mode for mode in store.totals() if mode != UNKNOWN_MODE or others)


@page("modes")
def modes(console: Console, _parameters: Parameters) -> dict[str, Any]:
    totals, now_ns = console.store.totals(), console.store.now_ns()
    services: dict[tuple[str, str], list[Sender]] = {}
    for sender in console.store.senders():
        services.setdefault((sender.mode, sender.service), []).append(sender)
    present = ordered(mode for mode, _ in services)
    colours, places = Colours(present), {mode: place for place, mode in enumerate(present)}
    panels = [
        {"mode": mode, "service": service, "colour": colours[mode]}
        | _configuration(senders, totals.get(mode, ModeTotals()), now_ns)
        for (mode, service), senders in sorted(services.items(), key=lambda item: (places[item[0][0]], item[0]))
    ]
    return {"panels": panels, "targets": console.scraper.targets}


def _configuration(senders: Sequence[Sender], totals: ModeTotals, now_ns: int) -> dict[str, Any]:
    """Return a service's reported configuration: workers, the latest one's resource, each signal's destination."""
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


@page("overview", "window")
def overview(console: Console, parameters: Parameters) -> dict[str, Any]:
    store = console.store
    window = parameters.choice("window", WINDOWS) or usual_window(store)
    seconds_shown, modes, totals = 60 * int(window), shown_modes(store), store.totals()
    panels, colours = mode_panels(store, seconds_shown), Colours(modes)
    return {
        "panels": [panel | {"colour": colours[panel["mode"]], "totals": totals[panel["mode"]]} for panel in panels],
        "calls": store.calls(seconds_shown),
        "charts": _charts(store.history(seconds_shown, _STEPS), modes, store.started_ns / 1e9),
        "window": window,
        "windows": WINDOWS,
        "targets": console.scraper.targets,
        "retained": store.retained(),
        "answers": [(*key, count) for key, count in sorted(console.receiver.answers.items())],
        "started_ns": store.started_ns,
    }


def usual_window(store: Store) -> str:
    """Return the default window: a minute at first, then five."""
    return "1" if store.now_ns() - store.started_ns < _YOUNG_NS else "5"


def mode_panels(store: Store, window: int) -> list[dict[str, Any]]:
    """Return the figures of each mode in the last `window` seconds, None if unknown, for the page and the API."""
    recent, totals, fates = store.recent(window), store.totals(), store.fates()
    counted, senders, now_ns = accounts(store), store.senders(), store.now_ns()
    panels = []
    for mode in shown_modes(store):
        figures, reported = recent.get(mode, NO_FIGURES), fates.get(mode, Fates())
        silent = [sender.is_silent(now_ns) for sender in senders if sender.mode == mode]
        requests = totals[mode].comparable
        apart = max(requests.values()) - min(requests.values())
        at_the_edge = totals[mode].spans_at_the_edge
        panel = {
            "mode": mode,
            "requests_per_second": figures.rate,
            "failed_ratio": figures.error_ratio,
            "duration_seconds": {f"p{share * 100:.0f}": figures.duration(share) for share in (0.5, 0.95, 0.99)},
            "freshness_seconds": {"p50": figures.delay(0.5), "p99": figures.delay(0.99)},
            "processes": silent.count(False),
            "silent_processes": silent.count(True),
            "signals": _signals(totals[mode], reported),
            "dropped": reported.dropped,
            "stored": stored_share(counted.get(mode, ())),
            "requests": requests,
            "counts_differ_by": apart,
            "counts_agree": apart <= (figures.rate or 0) * _UNDER_WAY_SECONDS + at_the_edge,
        }
        panels.append(panel)
    return panels


def _signals(totals: ModeTotals, reported: Fates) -> list[dict[str, Any]]:
    """Return the senders' counts of each signal, None without a report, and the items that arrived."""
    arrived = {"spans": totals.spans, "log records": totals.log_records, "data points": totals.data_points}
    signals = [
        {"name": name, "confirmed": reported.delivered(name), "arrived": count, "lost": reported.lost(name)}
        for name, count in arrived.items()
    ]
    if totals.scraped_samples:
        signals[-1] = {"name": "scraped samples", "confirmed": None, "arrived": totals.scraped_samples, "lost": {}}
    return signals


def _charts(history: Mapping[str, list[Figures]], modes: Sequence[str], began: float) -> list[Chart]:
    shown = [(mode, history[mode]) for mode in modes if mode in history]
    if not shown:
        return []
    times, colours = [part.start + part.seconds for part in shown[0][1]], Colours(modes)

    def chart(title: str, read: Callable[[Figures], float | None], write: Callable[[Any], str], note: str) -> Chart:
        # Anything before the console's start is unknown, not 0.
        lines = [
            Line(
                mode,
                [read(part) if part.start + part.seconds > began else None for part in found],
                colours[mode],
            )
            for mode, found in shown
        ]
        return Chart(title, times, lines, write, note=note)

    return [
        chart("Requests per second", lambda part: part.rate, number, "from server spans, by end time"),
        chart("Duration, 95th percentile", lambda part: part.duration(0.95), seconds, "of server spans"),
        chart("Failed requests", lambda part: part.error_ratio, percent, "requests whose server span has an error"),
        chart("Freshness, 95th percentile", lambda part: part.delay(0.95), seconds, "from a span's end to its arrival"),
    ]
