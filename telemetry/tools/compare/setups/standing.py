"""One running set-up: a backend, a fault proxy, a collector if it has one, and the service."""

import shutil
from collections import Counter
from contextlib import ExitStack
from typing import Self

from telemetry.tools.compare.counts.ledger import Stored
from telemetry.tools.compare.counts.remote_store import RemoteStore
from telemetry.tools.compare.counts.store import ConsoleStore, Store
from telemetry.tools.compare.counts.upstream_store import UpstreamStore
from telemetry.tools.compare.scenarios.condition import PLAIN, Condition
from telemetry.tools.compare.scenarios.context import Context
from telemetry.tools.compare.scenarios.timeline import Sample
from telemetry.tools.compare.setups.collectors import BackendPorts, Collector
from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.compare.setups.service import Service
from telemetry.tools.compare.setups.sockets import free_port
from telemetry.tools.compare.upstream import Upstream


class Standing:
    """A context manager that starts every part of one run, and stops them all at its end.

    `workers` is gunicorn's number, by default that of the options. With `spool_on_disk` the service's batches and
    counts are kept in a folder of the run (TELEMETRY_SPOOL_DIR) and outlive its processes. gunicorn replaces a worker
    after `max_requests` (0: never). `condition` is the variation to apply.
    """

    def __init__(
        self,
        context: Context,
        variant: Variant,
        workers: int | None = None,
        *,
        spool_on_disk: bool = False,
        max_requests: int = 0,
        condition: Condition = PLAIN,
    ) -> None:
        self.context = context
        self.variant = variant
        self._answered = 0
        self.failed = 0
        self.wrong: Counter[str] = Counter()
        self.bounds: dict[str, Counter[str]] = {}
        """Losses that the fault of the comparison itself explains, by signal."""
        self.exporter_survives = True
        """Whether the exporter's counts are complete: one that is killed loses those since its last commit."""
        self._spool_on_disk = spool_on_disk
        self._recycling = ("--max-requests", str(max_requests)) if max_requests else ()
        self._condition = condition
        self.workers = workers or context.options.workers
        self._stack = ExitStack()
        self.users: list[str] = []
        self.collector: Collector | None = None
        self.store: Store | None = None
        self.backends: list[FaultProxy] = []
        """The proxies in front of the backend, for gRPC and HTTP, that inject its faults."""
        self.wire: FaultProxy | None = None
        """The proxy that the service sends to; one of `backends` if there is no collector."""
        self.stored = Stored()
        self.samples: list[Sample] = []
        """The backend's items at each call of `sample`."""
        self.stop_seconds = 0.0

    def __enter__(self) -> Self:
        context, variant = self.context, self.variant
        number = next(context.numbers)
        self.folder = context.folder / f"run-{number}"
        self.folder.mkdir()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        port = context.options.service_port or free_port()
        env = self._environment(number)
        try:
            env |= self._start_backend(port, env["OTEL_SERVICE_NAME"]) | dict(context.options.service_env)
            project = context.project
            env = project.environment_of(variant, env)
            arguments = ["-c", project.gunicorn_of(variant), "--workers", str(self.workers)]
            arguments += [*project.gunicorn_options, *self._condition.arguments, *self._recycling]
            arguments.append(project.application_of(variant))
            log = f"run-{number}-{variant.key}.log"
            self.service = Service(
                context.processes, log, port, arguments, env, context.cores, project.probe, project.folder
            )
            self._stack.callback(self._end_service)
            self.service.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _environment(self, number: int) -> dict[str, str]:
        spool = {"TELEMETRY_SPOOL_DIR": str(self.folder / "spool")} if self._spool_on_disk else {}
        return spool | {
            **self.context.project.environment,
            **self.context.project.database_environment((self._condition.database or self.context.database).fresh()),
            "OTEL_SERVICE_NAME": f"user-api-compare-{self.context.folder.name[-6:]}-{number}",
            "OTEL_METRIC_EXPORT_INTERVAL": str(round(self.context.options.interval * 1000)),
            # The items sent and stored must not depend on chance.
            "OTEL_TRACES_SAMPLER": "always_on",
            **self._condition.environment,
        }

    def _start_backend(self, port: int, name: str) -> dict[str, str]:
        """Start everything that the service sends to; return the service's environment for it."""
        variant, context = self.variant, self.context
        if not variant.exports:
            return variant.env(0)
        if variant.upstream:
            return self._start_sink(variant.upstream, port)
        if context.options.backends.given:
            self.store = remote = RemoteStore(context.options.backends, variant, name)
            return remote.env
        store = ConsoleStore(
            variant, f"http://127.0.0.1:{port}{context.project.metrics_path}", context.options.interval
        )
        self.store = self._stack.enter_context(store)
        return variant.env(self._way_to(store).port)

    def _start_sink(self, upstream: Upstream, port: int) -> dict[str, str]:
        """Start the receiver or the scrapes of a set-up without our telemetry."""
        folder = self.folder / "prometheus"
        folder.mkdir()
        env = {"PROMETHEUS_MULTIPROC_DIR": str(folder)} if upstream.packages == ("django_prometheus",) else {}
        project = self.context.project
        probe = "" if project.probe_is_counted else project.probe
        store = UpstreamStore(self.variant, upstream, port, self.context.options.interval, probe)
        self.store = self._stack.enter_context(store)
        if store.sentry:
            self.wire = self._stack.enter_context(FaultProxy(store.sentry.port))
            self.backends = [self.wire]
        elif upstream.sink == "otlp":
            self._way_to(store)
        return env | self.variant.env(self.wire.port if self.wire else 0)

    def _way_to(self, store: ConsoleStore) -> FaultProxy:
        """Start the parts between the service and a console; return the proxy that the service sends to."""
        grpc, http = (
            self._stack.enter_context(FaultProxy(port)) for port in (store.console.grpc_port, store.console.http_port)
        )
        self.backends = [grpc, http]
        self.wire = grpc if self.variant.protocol == "grpc" else http
        if self.variant.uses_collector:
            protocol, ports = self.variant.protocol, BackendPorts(grpc.port, http.port)
            self.collector = self.context.collector(self.folder, protocol, ports)
        if self.collector is not None:
            self._stack.callback(self.collector.kill)
            self.collector.start()
            self.context.collector_name = self.collector.name
            self.wire = self._stack.enter_context(FaultProxy(self.collector.port))
        return self.wire

    def _end_service(self) -> None:
        if self.service.is_running:
            self.service.child.kill()

    @property
    def collector_name(self) -> str:
        """The collector's name and version, empty if there is none."""
        return self.collector.name if self.collector else ""

    @property
    def collector_seconds(self) -> float:
        """The CPU time of the collector so far, 0 if there is none."""
        return self.collector.cpu_seconds() if self.collector else 0.0

    @property
    def collector_memory(self) -> float | None:
        """The bytes of memory of the collector, None if there is none."""
        return self.collector.memory() if self.collector else None

    @property
    def collector_bytes(self) -> int:
        """The bytes that the collector has sent to the backend."""
        return sum(proxy.received for proxy in self.backends) if self.collector else 0

    def bytes_sent(self, scrape: int) -> int:
        """Return the bytes that the service has sent: over OTLP, and `scrape` for each scrape."""
        scrapes = self.store.scrapes if isinstance(self.store, ConsoleStore) else 0
        return (self.wire.received if self.wire else 0) + scrapes * scrape

    @property
    def exported(self) -> frozenset[str]:
        """The signals that this set-up has, and of which each request leaves exactly one item."""
        return (self.variant.signals & self.context.project.countable) - self._condition.uncounted
