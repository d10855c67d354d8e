"""Everything behind the translation: batches, spools and senders of the signals, and the metrics of the service."""

import logging
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from telemetry.config import Signal, TelemetryConfig
from telemetry.config.values import SIGNALS
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

# A new exporter reads again what was not committed, so this bounds its work, not what can be lost.
_LONGEST_COMMIT_SECONDS = 1.0
# Of TELEMETRY_FLUSH_TIMEOUT; the rest is for the ends of the workers before it and of this process after it.
_SENDING_SHARE = 0.85
# Of a stop's time, what is kept for the last push of metrics, which counts what became of the rest.
_LAST_SHARE = 0.3
_HANDOVER_SECONDS = 2.0
_ITEMS = {"traces": "spans", "metrics": "data points", "logs": "log records"}


class Outlets:
    """The outlets of one run: senders of the signals that are pushed, and the metrics."""

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
        """`folder` is the run's, `disk` where the spool outlives it, if anywhere."""
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
        self._processes = ProcessMetrics(self.aggregation)
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
        if self._pushes_metrics:  # for nothing else is the SDK imported, a quarter of the exporter's start
            from telemetry.exporting.metrics.otlp_metrics import encode

            self._encode = encode
        self._next_push = monotonic() + config.metric_export_interval
        self.has_appended = False
        """Whether metrics wait for a commit."""

    def _spool(self, signal: Signal, folder: Path, disk: Path | None) -> Spool:
        config = self._config
        return Spool(
            disk or folder,
            signal,
            max_bytes=config.spool_bytes,
            max_items=config.most_waiting(signal),
            fallback=folder if disk else None,
        )

    def _sender(self, signal: Signal, way: Push, spool: Spool) -> Sender:
        config = way.config
        return Sender(
            spool,
            make_transport(config, signal),
            Delivery(signal, config.endpoint, config.protocol, self.aggregation.emit),
            timeout=config.timeout,
            schedule_delay=way.batch.schedule_delay,
            max_items=way.batch.max_export_batch_size,
        )

    def start(self) -> None:
        """Begin to send."""
        for sender in self._senders.values():
            sender.start()

    @property
    def pending_bytes(self) -> int:
        """The size of what waits for a commit."""
        return sum(batches.size for batches in self._batches.values())

    @property
    def has_counted(self) -> bool:
        """Whether the senders have counted something that no commit has."""
        return self.aggregation.has_emitted

    def append(self) -> None:
        """Put what waits into the spools, unseen by the senders."""
        for signal, batches in self._batches.items():
            for data, items in batches.take():
                self._senders[signal].spool.append(data, items)

    def publish(self) -> None:
        """Let the senders see what was appended."""
        self.has_appended = False
        for sender in self._senders.values():
            sender.delivery.evicted(sender.spool.publish())

    def state(self) -> dict[str, Any]:
        """Return what a new exporter needs to go on."""
        with ExitStack() as held:  # what is counted as taken is no file any more, and the other way round
            for sender in self._senders.values():
                held.enter_context(sender.lock)
            return {
                "aggregation": self.aggregation.state(),
                "spools": {signal: sender.spool.state() for signal, sender in self._senders.items()},
                "deliveries": {signal: sender.delivery.state() for signal, sender in self._senders.items()},
            }

    def is_push_due(self, now: float) -> bool:
        """Return whether the interval of the metrics is over, once; `now` is of `time.monotonic`."""
        if not self._pushes_metrics or now < self._next_push:
            return False
        self._next_push = now + self._config.metric_export_interval
        return True

    def push(self) -> None:
        """Put the present metrics into their spool, where they are pushed."""
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
        """Return the answer to a scrape, None where metrics are pushed; `seconds` is what collecting them took."""
        if self._exposition is None:
            return None
        self._collected("prometheus_http_text_metric_exporter", seconds)
        return self._exposition.render(accept)

    def observe(self, rings: Rings, *, fresh: bool = False) -> None:
        """Bring up to date what is observed: rings, spools, what is on its way; processes at times, or if `fresh`."""
        self.own.observe_rings(rings)
        living = [source.writer for source in rings.sources.values() if source.is_alive]
        self._processes.observe(living, fresh=fresh)
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
        """Stop sending, or first `deliver` for TELEMETRY_FLUSH_TIMEOUT; the rest is the next exporter's."""
        until = monotonic() + (self._config.flush_timeout if deliver else 0.0)
        for sender in self._senders.values():
            sender.hurry(until)
        deadline = until + _HANDOVER_SECONDS
        for sender in self._senders.values():
            sender.join(max(0.0, deadline - monotonic()))

    def finish(self, commit: Any) -> str:
        """Deliver what is there within TELEMETRY_FLUSH_TIMEOUT, metrics last; return what was dropped, in words.

        `commit` makes what was pushed meanwhile visible to the senders.
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
