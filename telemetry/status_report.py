"""What `manage.py telemetry --status` prints of the answers of the workers."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from time import time
from typing import Any

Status = Mapping[str, Any]


def as_text(statuses: Sequence[Status], now: Callable[[], float] = time) -> str:
    """Return the answers, grouped by service, for people."""
    lines = []
    for run, workers in groupby(statuses, lambda status: status["run"]):
        answers = list(workers)
        known: Status = next((status for status in answers if "error" not in status), {})
        name = " ".join(known.get(key, "") for key in ("service", "version")).strip() or "a service"
        lines.append(f"{name}, mode {known.get('mode', '?')}, {known.get('address') or '?'} (process {run})")
        for status in answers:
            lines += _worker(status, now())
    return "\n".join(lines)


def _worker(status: Status, now: float) -> list[str]:
    if "error" in status:
        return [f"  worker {status['slot']}: {status['error']}"]
    lines = [f"  worker {status['slot']} (process {status['pid']}), up {now - status['started']:.0f} s"]
    return lines + [f"    {signal:8}{_signal(told, now)}" for signal, told in status["signals"].items()]


def _signal(told: Status, now: float) -> str:
    if "destination" not in told:
        return f"exporter {told['exporter']}"
    queue = f"queue {told['queue']} of {told['capacity']}, " if told["capacity"] else ""
    losses = ", ".join(f"{reason} {items}" for reason, items in sorted(told["losses"].items()))
    lost = f"lost {sum(told['losses'].values())}{losses and f' ({losses})'}"
    numbers = f"{queue}{told['in_flight']} in flight, accepted {told['accepted']}, {lost}, retries {told['retries']}"
    parts = [numbers, f"last success {_ago(told['last_success'], now)}"]
    if error := told["last_error"]:
        detail = error["detail"] and f": {error['detail']}"
        parts.append(f"last error {_ago(error['time'], now)}: {error['reason']}{detail}")
    return f"{'FAILING ' if told['failing'] else ''}to {told['destination']}: {'; '.join(parts)}"


def _ago(moment: float | None, now: float) -> str:
    return "never" if moment is None else f"{max(0.0, now - moment):.0f} s ago"
