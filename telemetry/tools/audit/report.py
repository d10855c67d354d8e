"""The results of the audit, as text and as data."""

from collections.abc import Iterator
from datetime import datetime
from time import time
from typing import Any

from telemetry.tools.account import Account, as_data, percent
from telemetry.tools.audit.audit import OF_METRICS, Audit

_SIGNAL_WIDTH = 8
_MINUTE, _HOUR = 60, 3600


def report_data(audit: Audit, objective: float) -> dict[str, Any]:
    """Return the report as data. Shares are from 0 to 1, times seconds since the epoch."""
    return {
        "complete": audit.meets(objective),
        "objective": round(objective, 9),
        "services": list(audit.services),
        "choice": audit.choice or None,
        "mode": audit.mode,
        "counts_from": audit.source,
        "start": audit.window.start,
        "end": audit.window.end,
        "signals": {account.signal: as_data(account) for account in audit.accounts},
        "unknown": dict(audit.unknown),
        "left_out": dict(audit.left_out),
    }


def report_text(audit: Audit, objective: float) -> str:
    """Return the report as text."""
    start, end = (datetime.fromtimestamp(moment).astimezone() for moment in (audit.window.start, audit.window.end))
    period = f"{start:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S} ({duration(audit.window.seconds)})"
    *others, last = audit.services
    names = f"{', '.join(others)} and {last} together" if others else last
    lines = [f"{names}, mode {audit.mode}, {period}, counted by {audit.source}", *filter(None, [audit.choice]), ""]
    for account in audit.accounts:
        lines += _account(account, is_below=account.signal in audit.below(objective / 100))
    lines += [f"{signal:{_SIGNAL_WIDTH}} UNKNOWN: {reason}" for signal, reason in audit.unknown.items()]
    lines += [f"{signal:{_SIGNAL_WIDTH}} {reason}" for signal, reason in audit.left_out.items()]
    return "\n".join([*lines, "", _verdict(audit, objective)])


def _verdict(audit: Audit, objective: float) -> str:
    below = audit.below(objective / 100)
    parts = [f"below the objective: {', '.join(below)}"] if below else []
    parts += [f"unknown: {', '.join(audit.unknown)}"] if audit.unknown else []
    met = "; ".join(parts) or "each signal meets its objective"
    of_metrics = max(100 - (100 - objective) * OF_METRICS, 0)
    return f"{met[0].upper()}{met[1:]} ({objective:.4g} %; pushes and scrapes of metrics {of_metrics:.4g} %)."


def _account(account: Account, *, is_below: bool) -> Iterator[str]:
    share = account.completeness
    stored = "nothing recorded" if share is None else f"{percent(share)} stored"
    recorded = account.recorded
    parts = [f"{_counted(recorded.items, account.unit)} recorded, {account.distinct} in {account.stored.name}"]
    parts += [f"{account.on_its_way} on their way"] if account.on_its_way else []
    parts += [f"{account.lost} missing"] if account.lost else []
    parts += [f"{account.twice} arrived twice"] if account.twice else []
    if account.stored.newest is not None:
        parts.append(f"newest {duration(max(time() - account.stored.newest, 0.0))} old")
    yield f"{account.signal:{_SIGNAL_WIDTH}} {stored:16} {'; '.join(parts)}{'  LOSS' if is_below else ''}"
    if passed := account.passed:
        counts = [f"{passed.received} received", f"{passed.sent} sent on"]
        counts += [f"{passed.refused} refused (and sent again)"] if passed.refused else []
        counts += [f"{items} {reason}" for reason, items in passed.lost.items()]
        yield f"{'':{_SIGNAL_WIDTH}} through {passed.name}, for all its senders: {', '.join(counts)}"
    for one in account.missing():
        yield f"{'':{_SIGNAL_WIDTH}} missing: {_counted(one.items, account.unit)}, {one.where}: {one.reason}"
    if recorded.margin and recorded.items:
        yield f"{'':{_SIGNAL_WIDTH}} {recorded.margin} may lie on either side of the window's ends"


def _counted(items: int, unit: str) -> str:
    return f"{items} {unit.removesuffix('s') if items == 1 else unit}"


def duration(seconds: float) -> str:
    """Return a duration in a suitable unit."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"
