"""The first page: both modes side by side, now and over the last minutes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.asking.parameters import WINDOWS, Parameters
from telemetry.tools.console.counting.accounts import accounts, stored_share
from telemetry.tools.console.counting.counts import ModeTotals
from telemetry.tools.console.counting.fates import Fates
from telemetry.tools.console.pages.charts import Chart, Line
from telemetry.tools.console.pages.formats import number, percent, seconds
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.pages.shown_modes import colour_of, shown_modes
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.history import NO_FIGURES, Figures
from telemetry.tools.console.storage.store import Store

_STEPS = 75
_YOUNG_NS = 90 * 10**9
#: Metrics are pushed every 15 seconds by default, spans sooner.
_UNDER_WAY_SECONDS = 20


@dataclass(frozen=True, slots=True)
class SignalCount:
    """One signal of one mode: what its senders report, and what arrived. `confirmed` is None without a report."""

    name: str
    confirmed: int | None
    arrived: int
    lost: dict[str, int]


@dataclass(frozen=True, slots=True)
class ModePanel:
    """What the page shows of one mode; `recent` is what happened in the window."""

    name: str
    colour: int
    recent: Figures
    totals: ModeTotals
    signals: list[SignalCount]
    workers: int
    silent: int
    dropped: int
    stored: str | None

    @property
    def quantiles(self) -> list[tuple[str, float | None]]:
        """Durations of the window's requests, in seconds."""
        return [(f"p{share * 100:.0f}", self.recent.duration(share)) for share in (0.5, 0.95, 0.99)]

    @property
    def apart(self) -> int:
        """By how many requests spans, log records and metrics differ."""
        counts = self.totals.server_spans, self.totals.access_records, self.totals.requests
        return max(counts) - min(counts)

    @property
    def agrees(self) -> bool:
        """Whether the three agree, except for what may still be on its way."""
        return self.apart <= (self.recent.rate or 0) * _UNDER_WAY_SECONDS


@require_safe
def overview(request: ConsoleRequest) -> HttpResponse:
    """Both modes side by side; updates by itself."""
    parameters = Parameters(request, "window", blank=True)
    store = request.console.store
    window = parameters.choice("window", WINDOWS) or usual_window(store)
    modes = shown_modes(store)
    history = store.history(60 * int(window), _STEPS)
    drawn = {mode: history[mode] for mode in modes if mode in history}
    context = {
        "panels": mode_panels(request.console, 60 * int(window)),
        "calls": store.calls(60 * int(window)),
        "charts": _charts(drawn, modes, store.started_ns / 1e9),
        "window": window,
        "windows": WINDOWS,
        "targets": request.console.scraper.targets,
        "retained": {name: asdict(kept) for name, kept in store.retained().items()},
        "answers": [(*key, count) for key, count in sorted(request.console.receiver.answers.items())],
        "started_ns": store.started_ns,
    }
    return page(request, "overview", context)


def usual_window(store: Store) -> str:
    """The default: a minute while the console is young, then five."""
    return "1" if store.now_ns() - store.started_ns < _YOUNG_NS else "5"


def mode_panels(console: Console, window: int) -> list[ModePanel]:
    """The figures of each mode in the last `window` seconds."""
    store = console.store
    modes = shown_modes(store)
    recent = store.recent(window)
    totals, fates, senders = store.totals(), store.fates(), store.senders()
    now_ns = store.now_ns()
    panels = []
    counted = accounts(store)
    for mode in modes:
        reported = fates.get(mode, Fates())
        active = [sender for sender in senders if sender.mode == mode]
        silent = [sender for sender in active if sender.is_silent(now_ns)]
        panels.append(
            ModePanel(
                name=mode,
                colour=colour_of(mode, modes),
                recent=recent.get(mode, NO_FIGURES),
                totals=totals[mode],
                signals=_signals(totals[mode], reported),
                workers=len(active) - len(silent),
                silent=len(silent),
                dropped=reported.dropped,
                stored=stored_share(counted.get(mode, ())),
            )
        )
    return panels


def _signals(totals: ModeTotals, reported: Fates) -> list[SignalCount]:
    arrived = {"spans": totals.spans, "log records": totals.log_records, "data points": totals.data_points}
    signals = [
        SignalCount(name, reported.delivered(name), count, reported.lost(name)) for name, count in arrived.items()
    ]
    if totals.scraped_samples:
        signals[-1] = SignalCount("scraped samples", None, totals.scraped_samples, {})
    return signals


def _charts(history: Mapping[str, list[Figures]], modes: Sequence[str], began: float) -> list[Chart]:
    if not history:
        return []
    times = [figures.start for figures in next(iter(history.values()))]
    shown = [(mode, history[mode], colour_of(mode, modes)) for mode in modes if mode in history]

    def chart(title: str, read: Callable[[Figures], float | None], write: Callable[[Any], str], note: str) -> Chart:
        # What happened before the console started is unknown, which is not 0.
        lines = [
            Line(mode, [read(part) if part.start + part.seconds > began else None for part in found], colour)
            for mode, found, colour in shown
        ]
        return Chart(title, times, lines, write, note=note)

    return [
        chart("Requests per second", lambda part: part.rate, number, "from server spans, by end time"),
        chart("Duration, 95th percentile", lambda part: part.duration(0.95), seconds, "of server spans"),
        chart("Failed requests", lambda part: part.error_ratio, percent, "requests whose server span has an error"),
        chart("Freshness, 95th percentile", lambda part: part.delay(0.95), seconds, "from a span's end to its arrival"),
    ]
