"""Alloy between the service and the backends: whether it is ready, and whether its counters moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from telemetry.config import Signal
from telemetry.tools.backends import Alloy
from telemetry.tools.backends.alloy import HEALTHY, Count, total
from telemetry.tools.doctor.walk import Finding, HopError, State, Walk

#: The file that configures it, in this project.
FILE = "deploy/alloy/config.alloy"

_ITEMS: Mapping[Signal, str] = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}
_REMOTE_WRITE = "prometheus_remote_storage_samples"
_NEWEST_SENT = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Counters:
    """Alloy's own counters at one moment."""

    samples: Sequence[Count]

    def received(self, signal: Signal) -> float:
        return total(self.samples, f"otelcol_receiver_accepted_{_ITEMS[signal]}_total")

    def refused(self, signal: Signal) -> float:
        return total(self.samples, f"otelcol_receiver_refused_{_ITEMS[signal]}_total")

    def sent(self, signal: Signal) -> float:
        """A number that grows with the items sent: by exporters, and for metrics also by remote write."""
        left = total(self.samples, f"otelcol_exporter_sent_{_ITEMS[signal]}_total")
        # Its count of samples counts attempts; this timestamp moves with the newest accepted sample.
        return left + (total(self.samples, _NEWEST_SENT) if signal == "metrics" else 0)

    def failed(self, signal: Signal) -> float:
        """The items that could not be sent and were dropped."""
        items = _ITEMS[signal]
        lost = sum(total(self.samples, f"otelcol_exporter_{kind}_failed_{items}_total") for kind in ("send", "enqueue"))
        return lost + (total(self.samples, f"{_REMOTE_WRITE}_failed_total") if signal == "metrics" else 0)

    def waiting(self) -> dict[str, int]:
        """The items waiting to be sent, by exporter or remote write; empty queues are left out."""
        queues = {
            one.labels.get("exporter", one.labels.get("component_id", "?")): int(one.value)
            for one in self.samples
            if one.name == "otelcol_exporter_queue_size" and one.value
        }
        if pending := total(self.samples, f"{_REMOTE_WRITE}_pending"):
            queues["prometheus.remote_write"] = int(pending)
        return queues


def health(alloy: Alloy) -> Finding:
    """Return the health of Alloy's components; it must be ready."""
    components = alloy.components()
    unhealthy = [one for one in components if one.health != HEALTHY]
    if unhealthy:
        detail = "; ".join(f"{one.id} is {one.health}: {one.message}" for one in unhealthy)
        return Finding(detail, State.WARNING, f"see Alloy's log, and these components in {FILE}")
    return Finding(f"ready, {len(components)} components are healthy")


def received(alloy: Alloy, before: Counters, signals: Sequence[Signal], walk: Walk) -> Finding:
    """Wait until the counters of its receivers have moved for each signal."""
    latest = before

    def moved() -> bool:
        nonlocal latest
        latest = Counters(alloy.metrics())
        return all(latest.received(signal) > before.received(signal) for signal in signals)

    if walk.until(moved):
        gains = (f"{signal} +{latest.received(signal) - before.received(signal):.0f}" for signal in signals)
        return Finding(", ".join(gains))
    refused = [signal for signal in signals if latest.refused(signal) > before.refused(signal)]
    if refused:
        raise HopError(
            f"{', '.join(refused)} refused by its pipeline",
            f"check its memory limit (otelcol.processor.memory_limiter in {FILE}) and its log",
        )
    still = [signal for signal in signals if latest.received(signal) <= before.received(signal)]
    raise HopError(
        f"no new {', '.join(still)} received at {alloy.base}",
        f"check that the service sends to this Alloy ({alloy.variable}), and the output of otelcol.receiver.otlp "
        f"in {FILE}",
    )


def sent(alloy: Alloy, before: Counters, signals: Sequence[Signal], walk: Walk) -> Finding:
    """Wait until the counters of its exporters have moved for each signal."""
    latest = before

    def moved() -> bool:
        nonlocal latest
        latest = Counters(alloy.metrics())
        return all(latest.sent(signal) > before.sent(signal) for signal in signals)

    arrived = walk.until(moved)
    failed = [signal for signal in signals if latest.failed(signal) > before.failed(signal)]
    if failed:
        raise HopError(f"its exporters dropped {', '.join(failed)}", f"see Alloy's log, and the exporters in {FILE}")
    if arrived:
        return Finding(f"{', '.join(signals)} sent on")
    still = ", ".join(signal for signal in signals if latest.sent(signal) <= before.sent(signal))
    # Items or bytes, depending on the queue's `sizer`.
    waiting = ", ".join(f"{queue} ({count})" for queue, count in latest.waiting().items())
    raise HopError(
        f"no {still} sent on" + (f"; items wait in {waiting}" if waiting else ""),
        f"see Alloy's log, and the address of the backend in {FILE}",
    )
