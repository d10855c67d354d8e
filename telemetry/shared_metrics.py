"""OpenTelemetry's metrics kept in a worker's slot file.

Synchronous instruments count in the file itself. Observable instruments go through the SDK's own aggregation; a thread
copies their values every second, and so does the worker that is asked for the metrics.
"""

import logging
import os
import threading
from collections.abc import Mapping, Sequence

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
from opentelemetry.semconv._incubating.attributes.otel_attributes import OtelComponentTypeValues

from telemetry.observed import ObservedValues
from telemetry.series_key import MERGES, Merge
from telemetry.shared_aggregation import KINDS, SharedAggregation
from telemetry.shared_state import WorkerState

_logger = logging.getLogger(__name__)

_REFRESH_WAIT_SECONDS = 0.5


class SharedMemoryMetricReader(MetricReader):
    """The reader that keeps a worker's metrics in its slot file, for any worker's scrape to read.

    To be made in the worker, after the fork, and given to a ``MeterProvider``. The values of observable counters must
    start at 0 with the process, as CPU time does: a successor's values are added to what its predecessor reached.
    """

    def __init__(
        self, state: WorkerState, refresh_interval: float = 1.0, *, merges: Mapping[str, Merge] | None = None
    ) -> None:
        """``refresh_interval``: seconds between two looks at the observable instruments.

        ``merges``: for gauges, by instrument name, how the values of several workers become one: "sum", "max" (the
        default), "min" or "mostrecent". Raises ValueError for anything else.
        """
        if not refresh_interval > 0:
            raise ValueError(f"refresh interval is {refresh_interval!r}; accepted: seconds above 0")
        self.merges: Mapping[str, Merge] = dict(merges or {})
        for name, merge in self.merges.items():
            if merge not in MERGES:
                raise ValueError(f"merge rule of {name} is {merge!r}; accepted: {', '.join(MERGES)}")
        self.state = state
        shared = SharedAggregation(state, merges=self.merges)
        super().__init__(
            preferred_aggregation=dict.fromkeys((type_ for type_, _ in KINDS), shared),
            otel_component_type=OtelComponentTypeValues.PROMETHEUS_HTTP_TEXT_METRIC_EXPORTER,
        )
        self._observed = ObservedValues(state, self.merges)
        self._pid = os.getpid()
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(
            target=self._run, args=(refresh_interval,), name="shared-metrics-refresh", daemon=True
        )

    def histogram(self, boundaries: Sequence[float]) -> SharedAggregation:
        """The aggregation for a View that sets a histogram's bucket boundaries.

        Raises ValueError unless they are finite and strictly increasing.
        """
        return SharedAggregation(self.state, boundaries=boundaries)

    def _set_meter_provider(self, meter_provider: MeterProvider) -> None:
        super()._set_meter_provider(meter_provider)
        self._thread.start()

    def _run(self, interval: float) -> None:
        while not self._stopping.wait(interval):
            self.refresh()

    def refresh(self, timeout: float = _REFRESH_WAIT_SECONDS) -> bool:
        """Bring the observable instruments up to date; waits for another thread's refresh at most ``timeout`` seconds.

        Returns whether it did; failures of callbacks are logged once and do not reach the caller.
        """
        if os.getpid() != self._pid or not self.state.is_open or self._collect is None:
            return False
        # One at a time: an older value written after a newer one would look like a counter that started anew.
        if not self._refreshing.acquire(timeout=timeout):
            return False
        try:
            self.collect()
        except Exception:
            if not self._failing:
                _logger.exception("observable metrics could not be read; their last values stand")
            self._failing = True
            return False
        else:
            self._failing = False
            return True
        finally:
            self._refreshing.release()
            self.state.log_warnings()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> None:  # noqa: ARG002
        self._observed.receive(metrics_data)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Refresh; nothing else is ever pending."""
        self.refresh(timeout_millis / 1000)
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """Stop the thread, refresh for the last time and give the slot free. Further calls do nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self.refresh(min(timeout_millis / 1000, _REFRESH_WAIT_SECONDS))
        self.state.close()
