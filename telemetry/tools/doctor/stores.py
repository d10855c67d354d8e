"""The stores of traces, logs and metrics, with one interface for separate servers and the console."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Protocol

from telemetry.config import TelemetryConfig
from telemetry.tools.backends import Backend, BackendError, Console, Jaeger, Loki, Prometheus, Tempo
from telemetry.tools.backends.console import KeptSeries
from telemetry.tools.doctor.collector import FILE as ALLOY_FILE
from telemetry.tools.doctor.places import Places
from telemetry.tools.doctor.walk import HopError

_HISTOGRAM = "http_server_request_duration_seconds"
_OTLP_HISTOGRAM = "http.server.request.duration"
_MARGIN = 60.0
"""Seconds around the request that are searched, as clocks differ."""
_RECENT = 600.0

PROMETHEUS_FILE = "deploy/prometheus/prometheus.yml"

_LOKI_FILE = "deploy/loki/loki.yaml"


@dataclass(frozen=True, slots=True)
class Advice:
    """What to check if something did not arrive: for separate servers, their configuration files."""

    target: str
    """How to have a service scraped; {url} is that of its metrics."""
    token: str
    """How to give METRICS_TOKEN to the scraper."""
    address: str
    """Where a target's host and port are configured."""
    interval: str
    """The setting of the scrape interval."""
    other_trace: str
    """Why a record may be stored but not found by its trace."""
    no_record: str
    no_count: str
    """If no requests are counted; {file} is where attributes become labels."""
    pushed_exemplar: str
    """What exemplars need in addition to OTEL_METRICS_EXEMPLAR_FILTER."""
    scraped_exemplar: str
    keeps_all: bool = False
    """Whether no collector that samples is in between."""


_SERVERS = Advice(
    target=f"add the service to scrape_configs in {PROMETHEUS_FILE} (docs/signals.md has the block to copy)",
    token=f"give Prometheus METRICS_TOKEN as the credentials of `authorization` in {PROMETHEUS_FILE}",
    address=f"of the target in {PROMETHEUS_FILE}",
    interval="scrape_interval",
    other_trace="check that trace_id is kept with each record (Loki's structured metadata), and OTEL_BLRP_* for delays",
    no_record=f"see Loki's log, and check its index label service_name ({_LOKI_FILE})",
    no_count="check that the resource's attributes become labels ({file}, docs/signals.md), and see Prometheus' log",
    pushed_exemplar=f"; Alloy's remote write needs send_exemplars ({ALLOY_FILE})",
    scraped_exemplar="; a scrape needs the OpenMetrics format",
)
_CONSOLE = Advice(
    target="start the console with manage.py console --scrape NAME={url}",
    token="give the console a file with METRICS_TOKEN (--scrape-token-file)",  # noqa: S106
    address="in the console's --scrape",
    interval="the console's --scrape-interval",
    other_trace="check the service's OTEL_BLRP_* for delays",
    no_record="see the console's page /logs, and the service's status: manage.py telemetry --status",
    no_count="see the console's page /metrics, and the service's status: manage.py telemetry --status",
    pushed_exemplar="",
    scraped_exemplar="",
    keeps_all=True,
)

Series = Mapping[tuple[tuple[str, str], ...], float]


class Span(Protocol):
    """A span, as every store has it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def mode(self) -> str: ...


class Store(Protocol):
    """What all stores have in common."""

    @property
    def label(self) -> str:
        """Its name."""

    @property
    def base(self) -> str:
        """Its address."""

    @property
    def advice(self) -> Advice:
        """What to check if something did not arrive."""

    def check_ready(self) -> None:
        """Raise BackendError unless it is ready."""


class TraceStore(Store, Protocol):
    """Keeps traces."""

    def spans(self, trace_id: str) -> Sequence[Span]:
        """Return the spans of a trace."""


class LogStore(Store, Protocol):
    """Keeps log records."""

    def of_trace(self, trace_id: str, moment: float) -> int:
        """Return how many records belong to a trace of that moment."""

    def recent(self) -> int:
        """Return how many records of the service came in the last minutes."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """A scrape target that could be the service."""

    url: str
    up: bool
    error: str


class MetricStore(Store, Protocol):
    """Keeps metrics."""

    @property
    def left_out(self) -> int:
        """How many series its last answer left out."""

    def requests(self) -> Series:
        """Return the counts of requests of the service, by series."""

    def exemplars(self, moment: float) -> set[str]:
        """Return the trace ids that exemplars since `moment` link to."""

    def targets(self) -> list[Scraped]:
        """Return its scrape targets."""

    def check_pushed(self) -> None:
        """Raise HopError if it is known to accept no pushed metrics."""

    def check_exemplars(self) -> None:
        """Raise HopError if it is known to keep no exemplars."""


class _Server:
    """What the stores that are separate servers have in common."""

    advice = _SERVERS

    def __init__(self, backend: Backend) -> None:
        self.label = backend.name
        self.base = backend.base
        self.check_ready = backend.check_ready


class Traces(_Server):
    """Tempo or Jaeger."""

    def __init__(self, backend: Tempo | Jaeger) -> None:
        super().__init__(backend)
        self._backend = backend

    def spans(self, trace_id: str) -> Sequence[Span]:
        return self._backend.trace(trace_id)


class LokiLogs(_Server):
    """Loki."""

    def __init__(self, loki: Loki, service: str) -> None:
        super().__init__(loki)
        self._loki = loki
        self._selector = f"{{service_name={json.dumps(service)}}}"

    def of_trace(self, trace_id: str, moment: float) -> int:
        query = f'{self._selector} | trace_id="{trace_id}"'
        return len(self._loki.lines(query, moment - _MARGIN, time() + _MARGIN))

    def recent(self) -> int:
        return self._loki.count(self._selector, time() - _RECENT, time())


class PrometheusMetrics(_Server):
    """Prometheus."""

    left_out = 0

    def __init__(self, prometheus: Prometheus, service: str, mode: str) -> None:
        super().__init__(prometheus)
        self._prometheus = prometheus
        self._labels = f"{{service_name={json.dumps(service)},export_mode={json.dumps(mode)}}}"

    def requests(self) -> Series:
        samples = self._prometheus.query(f"{_HISTOGRAM}_count{self._labels}")
        return {tuple(sorted(sample.labels.items())): sample.value for sample in samples}

    def exemplars(self, moment: float) -> set[str]:
        selector = f"{_HISTOGRAM}_bucket{self._labels}"
        return self._prometheus.traces_of_exemplars(selector, moment, time() + _MARGIN)

    def targets(self) -> list[Scraped]:
        return [Scraped(one.url, one.health == "up", one.last_error) for one in self._prometheus.targets()]

    def check_pushed(self) -> None:
        flags = self._flags()
        receivers = [flags.get(f"web.enable-{kind}-receiver") for kind in ("remote-write", "otlp")]
        if "true" not in receivers and "false" in receivers:
            raise HopError(
                "it accepts no pushed metrics: its receivers are off",
                "start Prometheus with --web.enable-remote-write-receiver (Alloy's remote write) or "
                "--web.enable-otlp-receiver",
            )

    def check_exemplars(self) -> None:
        features = self._flags().get("enable-feature")
        if features is not None and "exemplar-storage" not in features:
            raise HopError("it keeps no exemplars", "start Prometheus with --enable-feature=exemplar-storage")

    def _flags(self) -> dict[str, str]:
        try:
            return self._prometheus.flags()
        except BackendError:  # Mimir and others have none
            return {}


class ConsoleStores:
    """The embedded console, which replaces all of them."""

    advice = _CONSOLE

    def __init__(self, console: Console, service: str, mode: str, *, scraped: bool) -> None:
        self._console = console
        self._service = service
        self._mode = mode
        self._scraped = scraped
        self.left_out = 0
        self.label = "the console"
        self.base = console.base

    def check_ready(self) -> None:
        self._console.accounts()

    def spans(self, trace_id: str) -> Sequence[Span]:
        return self._console.trace(trace_id).spans

    def of_trace(self, trace_id: str, moment: float) -> int:  # noqa: ARG002  (a trace id is enough)
        return self._console.trace(trace_id).logs

    def recent(self) -> int:
        return self._console.latest_logs(1000)[self._service]

    def requests(self) -> Series:
        counts: Counter[tuple[tuple[str, str], ...]] = Counter()
        for one in self._series("_count", points=1):
            # Those of several workers have the same attributes.
            counts[tuple(sorted((key, str(value)) for key, value in one.attributes.items()))] += round(one.value)
        return counts

    def exemplars(self, moment: float) -> set[str]:
        # Each scrape repeats the exemplars, each push has only new ones.
        points = 1 if self._scraped else 100
        return {
            exemplar.trace_id
            for one in self._series("_bucket", points)
            for exemplar in one.exemplars
            if exemplar.trace_id and exemplar.time >= moment - 1
        }

    def _series(self, suffix: str, points: int) -> list[KeptSeries]:
        """Return the series of the requests' histogram, of a scraped one those of one sample."""
        metric, sample = (_HISTOGRAM, f"{_HISTOGRAM}{suffix}") if self._scraped else (_OTLP_HISTOGRAM, "")
        found, self.left_out = self._console.series(metric, self._mode, sample, points)
        return found

    def targets(self) -> list[Scraped]:
        return [Scraped(one.url, one.ok, one.error) for one in self._console.targets()]

    def check_pushed(self) -> None:
        """It accepts them."""

    def check_exemplars(self) -> None:
        """It keeps them."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The store of each signal; None if there is none to query."""

    traces: TraceStore | None
    logs: LogStore | None
    metrics: MetricStore | None

    @property
    def token_advice(self) -> str:
        """How to give METRICS_TOKEN to the scraper."""
        return self.metrics.advice.token if self.metrics else _SERVERS.token

    @classmethod
    def of(cls, places: Places, config: TelemetryConfig, console: Console | None) -> "Stores":
        """Return the console if there is one, else the servers that are not left out."""
        name, mode = config.service_name, config.mode
        if console:
            all_in_one = ConsoleStores(console, name, mode, scraped=config.metrics.exporter == "prometheus")
            return cls(all_in_one, all_in_one, all_in_one)
        traces = places.traces()
        return cls(
            traces=None if traces is None else Traces(traces),
            logs=None if places.left_out("loki") else LokiLogs(places.loki(), name),
            metrics=None if places.left_out("prometheus") else PrometheusMetrics(places.prometheus(), name, mode),
        )
