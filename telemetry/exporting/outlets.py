"""Everything after the translation: batches, spools and senders of the signals, and the metrics of the service."""

import logging
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from telemetry.config import Signal, TelemetryConfig
from telemetry.config.values import SIGNALS
from telemetry.config.variables import MEMORY_SPOOL_BYTES
from telemetry.exporting.items.batches import Batches
from telemetry.exporting.metrics.aggregation import HERE, Aggregation
from telemetry.exporting.metrics.own_metrics import COLLECTION_DURATION, OwnMetrics
from telemetry.exporting.metrics.process_metrics import ProcessMetrics
from telemetry.exporting.metrics.views import Views
from telemetry.exporting.rings import Rings
from telemetry.exporting.sending.delivery import Delivery
from telemetry.exporting.sending.sender import Sender
from telemetry.exporting.state import State
from telemetry.exporting.transports import make_transport
from telemetry.exporting.ways import Answer, Push, Ways
from telemetry.exposition import Exposition
from telemetry.journal.spool import Spool

logger = logging.getLogger(__name__)

# A new exporter reads uncommitted records again, so this limits its work, not losses.
_LONGEST_COMMIT_SECONDS = 1.0
# Share of TELEMETRY_FLUSH_TIMEOUT; the rest is for the workers' end before it and this process's end after it.
_SENDING_SHARE = 0.85
# Share of a stop's time kept for the last push of metrics, which includes the outcome of the other signals.
_LAST_SHARE = 0.3
_HANDOVER_SECONDS = 2.0
_ITEMS = {"traces": "spans", "metrics": "data points", "logs": "log records"}


class Outlets:
    """The outlets of one run: the senders of pushed signals, and the metrics."""

    def __init__(  # noqa: PLR0917
        self,
        config: TelemetryConfig,
        ways: Ways,
        folder: Path,
        disk: Path | None,
        resource: Mapping[str, Any],
        metric_attributes: Mapping[str, Collection[str]],
        state: State,
    ) -> None:
        """`folder` is the run's; `disk` is the spool's folder on disk, which outlives the run, or None."""
        self._config = config
        self._resource = resource
        self.instance = str(resource["service.instance.id"])
        self.aggregation = Aggregation(Views(metric_attributes), exemplars=config.exemplar_filter)
        try:
            self.aggregation.restore(state.of("aggregation") or ())
        except Exception:
            logger.exception("the former exporter's counts cannot be read: counters begin anew")
            self.aggregation = Aggregation(Views(metric_attributes), exemplars=config.exemplar_filter)
        self._exposition = Exposition(self.aggregation, resource) if isinstance(ways.metrics, Answer) else None
        self.own = OwnMetrics(self.aggregation, state.starts)
        self._processes = ProcessMetrics(self.aggregation, state.of("writers") or ())
        self._senders: dict[Signal, Sender] = {}
        self._batches: dict[Signal, Batches] = {}
        committed, delivered = state.of("spools") or {}, state.of("deliveries") or {}
        for signal in SIGNALS:
            way = getattr(ways, signal)
            if isinstance(way, Push):
                spool = self._spool(signal, folder, disk)
                spool.recover(committed.get(signal), state.generation)
                self._senders[signal] = sender = self._sender(signal, way, spool)
                if signal in delivered:
                    sender.delivery.restore(delivered[signal])
                if signal != "metrics":
                    self._batches[signal] = Batches(signal, resource, way.batch.max_export_batch_size)
        self.spans, self.logs = self._batches.get("traces"), self._batches.get("logs")
        delays = [config.span_batch.schedule_delay, config.log_batch.schedule_delay, _LONGEST_COMMIT_SECONDS]
        self.commit_seconds = min(delays)
        self._pushes_metrics = "metrics" in self._senders
        if self._pushes_metrics:  # only this needs the SDK, whose import takes a quarter of the exporter's start
            from telemetry.exporting.metrics.otlp_metrics import encode

            self._encode = encode
        self._next_push = monotonic() + config.metric_export_interval
        self.has_appended = False
        """Whether metrics wait for a commit."""

    def _spool(self, signal: Signal, folder: Path, disk: Path | None) -> Spool:
        config = self._config
        lacks_disk = config.spool_dir and not disk
        return Spool(
            disk or folder,
            signal,
            max_bytes=min(config.spool_bytes, MEMORY_SPOOL_BYTES) if lacks_disk else config.spool_bytes,
            max_items=config.most_waiting(signal),
            fallback=folder if disk else None,
        )

    def _sender(self, signal: Signal, way: Push, spool: Spool) -> Sender:
        config = way.config
        return Sender(
            spool,
            make_transport(config, signal),
            Delivery(signal, config.endpoint, config.protocol, self.aggregation.emit),
            timeout=way.timeout,
            schedule_delay=way.batch.schedule_delay,
            max_items=way.batch.max_export_batch_size,
        )

    def start(self) -> None:
        """Start the senders."""
        for sender in self._senders.values():
            sender.start()

    @property
    def pending_bytes(self) -> int:
        """The size of the requests that wait for a commit."""
        return sum(batches.size for batches in self._batches.values())

    @property
    def has_counted(self) -> bool:
        """Whether something beside the records, such as deliveries and starts, was counted since the last commit."""
        return self.aggregation.has_emitted

    def append(self) -> None:
        """Append the waiting requests to the spools, not yet visible to the senders."""
        for signal, batches in self._batches.items():
            for data, items in batches.take():
                self._senders[signal].spool.append(data, items)

    def publish(self) -> None:
        """Make appended batches visible to the senders."""
        self.has_appended = False
        for sender in self._senders.values():
            sender.delivery.evicted(sender.spool.publish())

    def state(self) -> dict[str, Any]:
        """Return the state from which a new exporter continues."""
        with ExitStack() as held:  # keeps counts and files consistent: a counted batch has no file, and vice versa
            for sender in self._senders.values():
                held.enter_context(sender.lock)
            return {
                "writers": sorted(self._processes.counted),
                "aggregation": self.aggregation.state(),
                "spools": {signal: sender.spool.state() for signal, sender in self._senders.items()},
                "deliveries": {signal: sender.delivery.state() for signal, sender in self._senders.items()},
            }

    def is_push_due(self, now: float) -> bool:
        """Return True once per metric export interval; `now` is of `time.monotonic`."""
        if not self._pushes_metrics or now < self._next_push:
            return False
        self._next_push = now + self._config.metric_export_interval
        return True

    def push(self) -> None:
        """Append the current metrics to their spool, if they are pushed."""
        if not self._pushes_metrics:
            return
        began = perf_counter()
        data, points = self._encode(self.aggregation, self._resource)
        self._collected("periodic_metric_reader", perf_counter() - began)
        if points:
            self._senders["metrics"].spool.append(data, points)
            self.has_appended = True

    def _collected(self, reader: str, seconds: float) -> None:
        attributes = {"otel.component.type": reader, "otel.component.name": f"{reader}/0"}
        self.aggregation.record(COLLECTION_DURATION, seconds, attributes)

    def render(self, accept: str, seconds: float) -> tuple[bytes, str] | None:
        """Return the answer to a scrape, None if metrics are not scraped; `seconds` is the time to collect them."""
        if self._exposition is None:
            return None
        self._collected("prometheus_http_text_metric_exporter", seconds)
        return self._exposition.render(accept)

    def count(self, rings: Rings) -> None:
        """Count the processes that have joined since the last call."""
        self._processes.count(rings.writers())

    def observe(self, rings: Rings, *, fresh: bool = False) -> None:
        """Update observed metrics: of rings, spools and in-flight items; of processes at intervals, or if `fresh`."""
        self.own.observe_rings(rings)
        sources = rings.sources.values()
        self.count(rings)
        self._processes.observe([source.writer for source in sources if source.is_alive], fresh=fresh)
        self.own.observe_spools({signal: sender.spool for signal, sender in self._senders.items()})
        for sender in self._senders.values():
            for instrument, points in sender.delivery.observations():
                self.aggregation.observe(instrument, HERE, points)

    def status(self) -> dict[str, Any]:
        """Return each signal's numbers for `manage.py telemetry --status`."""
        exporters = {signal: getattr(self._config, signal).exporter for signal in SIGNALS}
        return {
            signal: {"exporter": exporter, **(self._senders[signal].status() if signal in self._senders else {})}
            for signal, exporter in exporters.items()
        }

    def hand_over(self, *, deliver: bool) -> None:
        """Stop sending, with `deliver` after up to TELEMETRY_FLUSH_TIMEOUT; the next exporter sends the rest."""
        until = monotonic() + (self._config.flush_timeout if deliver else 0.0)
        for sender in self._senders.values():
            sender.hurry(until)
        deadline = until + _HANDOVER_SECONDS
        for sender in self._senders.values():
            sender.join(max(0.0, deadline - monotonic()))

    def finish(self, commit: Any) -> str:
        """Deliver all batches within TELEMETRY_FLUSH_TIMEOUT, metrics last; return a summary of dropped items.

        `commit` makes the last push of metrics visible to its sender.
        """
        timeout = self._config.flush_timeout
        deadline = monotonic() + timeout * _SENDING_SHARE
        others = [sender for signal, sender in self._senders.items() if signal != "metrics"]
        early = deadline - (timeout * _LAST_SHARE if self._pushes_metrics else 0)
        for sender in others:
            sender.hurry(early)
        stopped = {sender.spool.signal: sender.stop(early) for sender in others}
        if self._pushes_metrics:
            self.push()
            commit()
            stopped["metrics"] = self._senders["metrics"].stop(deadline)
        words = [f"{gone.dropped} {_ITEMS[signal]}" for signal, gone in stopped.items() if gone.dropped]
        kept = [f"{left.kept} {_ITEMS[signal]}" for signal, left in stopped.items() if left.kept]
        if kept:
            logger.info("telemetry kept for the next start: %s", ", ".join(kept))
        if not words:
            return ""
        return f"{', '.join(words)}; not delivered, or not confirmed, within {timeout:.1f} s"
