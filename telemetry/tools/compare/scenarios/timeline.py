"""A fault second by second: items sent, items stored, and the latency of requests."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from telemetry.tools.compare.counts.ledger import Stored
from telemetry.tools.compare.figures.intervals import rounded
from telemetry.tools.compare.load.generator import Done

_STEP = 1.0
_ATTRIBUTES = {"spans": "server_spans", "log records": "access_records", "counter": "requests"}


class Sample(NamedTuple):
    """The items that the backend had at a time since the epoch."""

    at: float
    stored: Stored


def timeline(done: Done, before: int, samples: Sequence[Sample], signals: frozenset[str]) -> list[dict[str, Any]]:
    """Return rows with `at` (seconds since the load began), `sent` (and answered), and what was stored of each signal.

    `before` requests had been answered before the load.
    """
    if not done.begins:
        return []
    start = min(done.begins)
    unanswered = set(done.unanswered)
    ends = [end for place, end in enumerate(done.ends) if place not in unanswered]
    rows: list[dict[str, Any]] = []
    for sample in samples:
        at = round(sample.at - start, 1)
        if rows and at - rows[-1]["at"] < _STEP / 2:
            continue
        sent = before + sum(end <= sample.at for end in ends)
        stored = {name: getattr(sample.stored, attribute) for name, attribute in _ATTRIBUTES.items() if name in signals}
        rows.append({"at": at, "sent": sent, **stored})
    return rows


def latencies(done: Done) -> list[dict[str, Any]]:
    """Return rows with `at`, and median and maximum latency of the requests that began in that second, in seconds."""
    if not done.waits:
        return []
    start = min(done.begins)
    by_second: dict[int, list[float]] = {}
    for begin, wait in zip(done.begins, done.waits, strict=True):
        by_second.setdefault(int((begin - start) / _STEP), []).append(wait)
    return [
        {"at": second * _STEP, "median": rounded(statistics.median(found)), "most": rounded(max(found))}
        for second, found in sorted(by_second.items())
    ]
