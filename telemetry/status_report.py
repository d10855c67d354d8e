"""The output of `manage.py telemetry --status`: the answers of the running services as text."""

from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Any

Status = Mapping[str, Any]


def as_text(statuses: Sequence[Status], now: Callable[[], float] = time) -> str:
    """Return the answers as text for people."""
    lines = []
    for status in statuses:
        name = " ".join(status.get(key, "") for key in ("service", "version")).strip() or "a service"
        place = [status["address"]] if status["address"] else []  # a worker of a task queue does not listen
        process = f" (process {status['run']})" if status["run"] else ""  # a container's first process has no parent
        lines.append(", ".join([name, f"mode {status['mode']}", *place]) + process)
        lines += _exporter(status, now())
    return "\n".join(lines)


def _exporter(status: Status, now: float) -> list[str]:
    if "error" in status:
        return [f"  {status['error']}"]
    up = f"up {now - status['started']:.0f} s"
    lines = [f"  exporter (process {status['pid']}), {up}, started {status['starts']} times"]
    lines += [_ring(ring) for ring in status["rings"]]
    if status["torn"] or status["errors"]:
        lines.append(f"  {status['torn']} torn records skipped, {status['errors']} that could not be exported")
    return lines + [f"  {signal:8}{_signal(found, now)}" for signal, found in status["signals"].items()]


def _ring(ring: Status) -> str:
    state = f"process {ring['pid']}" if ring["alive"] else "free"
    dropped = ", ".join(f"{items} {name}" for name, items in ring["dropped"].items() if items)
    parts = [
        f"  slot {ring['slot']} ({state}): {_size(ring['waiting_bytes'])} of {_size(ring['capacity_bytes'])} waiting"
    ]
    if dropped:
        parts.append(f"dropped {dropped}")
    if ring["errors"]:
        parts.append(f"{ring['errors']} not recorded")
    return ", ".join(parts)


def _signal(found: Status, now: float) -> str:
    if "destination" not in found:
        return f"exporter {found['exporter']}"
    capacity = f" of {found['capacity']}" if found["capacity"] else ""
    spool = found["spool"]
    waiting = f"{found['queue']}{capacity} waiting ({_size(spool['bytes'])} of {_size(spool['limit'])})"
    losses = ", ".join(f"{reason} {items}" for reason, items in sorted(found["losses"].items()))
    lost = f"lost {sum(found['losses'].values())}{losses and f' ({losses})'}"
    numbers = (
        f"{waiting}, {found['in_flight']} in flight, accepted {found['accepted']}, {lost}, retries {found['retries']}"
    )
    parts = [numbers, f"last success {_ago(found['last_success'], now)}"]
    if error := found["last_error"]:
        detail = error["detail"] and f": {error['detail']}"
        parts.append(f"last error {_ago(error['time'], now)}: {error['reason']}{detail}")
    if spool["degraded"]:
        parts.append(f"the spool's disk cannot be written; batches wait in {spool['folder']}")
    return f"{'FAILING ' if found['failing'] else ''}to {found['destination']}: {'; '.join(parts)}"


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:  # noqa: PLR2004
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} GiB"


def _ago(moment: float | None, now: float) -> str:
    return "never" if moment is None else f"{max(0.0, now - moment):.0f} s ago"
