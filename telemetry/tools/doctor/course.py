"""The hops between the service and Grafana, in path order, with their dependencies."""

from functools import partial

from telemetry.config import Signal, SignalConfig, TelemetryConfig
from telemetry.tools.doctor import arrival, collector, exports, grafana, network, service
from telemetry.tools.doctor.collector import Counters
from telemetry.tools.doctor.configuration import Running, metrics_path, otlp_receivers, signals_of
from telemetry.tools.doctor.network import Receiver
from telemetry.tools.doctor.places import Places
from telemetry.tools.doctor.service import Followed, Service
from telemetry.tools.doctor.stores import MetricStore, Series, Store, Stores
from telemetry.tools.doctor.walk import Finding, Result, State, Walk

#: The hops after the configuration, for a report in which none of them can be checked.
HOPS = ("service", "receiver", "otlp", "request", "trace", "log", "metric", "exemplar", "grafana")

# Metrics arrive last.
_ARRIVALS: tuple[Signal, ...] = ("traces", "logs", "metrics")


class Course:
    """One walk through the hops of one configuration."""

    def __init__(
        self,
        walk: Walk,
        places: Places,
        *,
        config: TelemetryConfig,
        examined: Service,
        running: Running | None,
        path: str,
    ) -> None:
        self._walk = walk
        self._places = places
        self._config = config
        self._service = examined
        self._running = running
        self._path = path
        self._console = places.console(network.port_offset(otlp_receivers(config)))
        self._stores = Stores.of(places, config, self._console)
        self._scraped = config.metrics.exporter == "prometheus"
        self._counters: Counters | None = None
        self._before: Series = {}
        self._followed: Followed | None = None
        self._ready: dict[str, Result] = {}

    @property
    def trace_id(self) -> str:
        """The id of the request's trace; empty if none was sent."""
        return self._followed.trace_id if self._followed else ""

    def run(self) -> None:
        """Check every hop."""
        alive = self._check_service()
        reached = self._check_receivers()
        passing = self._check_collector()
        left = {signal: self._export(signal, one, reached, alive) for signal, one in signals_of(self._config).items()}
        kept = {signal: self._check_store(signal, left[signal]) for signal in left}
        request = self._walk.hop("request", "", self._send, [alive])
        if passing and not passing.left_out:
            self._check_passing(passing, {signal: left[signal] for signal in reached})
        for signal in _ARRIVALS:
            self._check_arrival(signal, [left[signal], kept[signal], request])
        self._check_grafana()

    def _check_service(self) -> Result:
        alive = self._walk.hop("service", self._service.base, partial(service.alive, self._service))
        self._walk.hop("database", "", partial(service.ready, self._service), [alive])
        self._walk.hop("status", "", partial(service.own_status, self._running), [alive])
        return alive

    def _check_receivers(self) -> dict[Signal, Result]:
        """Return, for each signal that is pushed, the last hop of the path to its receiver."""
        reached: dict[Signal, Result] = {}
        for receiver in otlp_receivers(self._config):
            reached |= dict.fromkeys(receiver.signals, self._check_receiver(receiver))
        return reached

    def _check_receiver(self, receiver: Receiver) -> Result:
        walk, timeout = self._walk, self._places.timeout
        if proxy := network.proxy_between(receiver):
            found = Finding(
                f"not checked: {proxy} is in between", State.WARNING, "add the host to NO_PROXY if that is unintended"
            )
            return walk.hop("tcp", receiver.address, lambda: found)
        name = walk.hop("name", receiver.host, partial(network.resolve, receiver, timeout))
        tcp = walk.hop("tcp", receiver.address, partial(network.connect, receiver, timeout), [name])
        if receiver.config.insecure:
            return walk.hop("protocol", receiver.address, partial(network.protocol, receiver, timeout), [tcp])
        return walk.hop("tls", receiver.address, partial(network.handshake, receiver, timeout), [tcp])

    def _check_collector(self) -> Result | None:
        """Return the collector's hop, None if no collector is checked."""
        if self._console:
            return None
        if self._config.mode != "collector":
            if "alloy" in self._places.options and not self._places.left_out("alloy"):
                self._walk.leave_out("collector", "Alloy", f"not part of the path in mode {self._config.mode}")
            return None
        if self._places.left_out("alloy"):
            return self._walk.leave_out("collector", "Alloy", "left out (--alloy none)")
        alloy = self._places.alloy()

        def ready() -> Finding:
            self._walk.until_ready(alloy.check_ready)
            finding = collector.health(alloy)
            self._counters = Counters(alloy.metrics())
            return finding

        return self._walk.hop("collector", "Alloy", ready)

    def _export(self, signal: Signal, config: SignalConfig, reached: dict[Signal, Result], alive: Result) -> Result:
        """Check that a signal can be exported."""
        if signal == "metrics" and self._scraped:
            check = partial(service.exposition, self._service, self._config, self._stores.token_advice)
            return self._walk.hop("metrics", metrics_path(), check, [alive])
        if signal not in reached:
            return self._walk.leave_out("otlp", signal, f"OTEL_{signal.upper()}_EXPORTER is {config.exporter}")
        check = partial(exports.export, signal, config, self._config.service_name, self._places.timeout)
        return self._walk.hop("otlp", signal, check, [reached[signal]])

    def _check_store(self, signal: Signal, left: Result) -> Result:
        """Check once that a signal's store is ready; skip a store that nothing is sent to."""
        store: Store | None = getattr(self._stores, signal)
        if left.left_out:
            return left
        if store is None:
            return self._walk.leave_out("ready", f"store of {signal}", "left out (none)")
        if store.label not in self._ready:
            self._ready[store.label] = self._walk.hop("ready", store.label, partial(self._open, store))
        return self._ready[store.label]

    def _open(self, store: Store) -> Finding:
        self._walk.until_ready(store.check_ready)
        if store is self._stores.metrics:
            self._before = self._stores.metrics.requests()
        return Finding(store.base)

    def _send(self) -> Finding:
        self._followed = service.follow(self._service, self._path, self._config)
        self._walk.sent()
        return service.request(self._path, self._followed)

    def _check_passing(self, ready: Result, left: dict[Signal, Result]) -> None:
        """Check that Alloy has received what was sent to it, and has sent it on."""
        signals = [signal for signal, result in left.items() if not result.stops]
        needs = [ready] if signals else [ready, *left.values()]
        alloy, before = self._places.alloy(), self._counters or Counters(())
        received = self._walk.hop(
            "received", "Alloy", partial(collector.received, alloy, before, signals, self._walk), needs
        )
        self._walk.hop("sent on", "Alloy", partial(collector.sent, alloy, before, signals, self._walk), [received])

    def _check_arrival(self, signal: Signal, needs: list[Result]) -> None:
        """Check that the request has reached the signal's store."""
        walk, stores, config = self._walk, self._stores, self._config
        followed = self._followed or Followed("", 0, 0.0, ours=False, recorded=False)
        if signal == "traces" and stores.traces:
            walk.hop("trace", stores.traces.label, partial(arrival.trace, stores.traces, followed, config, walk), needs)
        elif signal == "logs" and stores.logs:
            walk.hop("log", stores.logs.label, partial(arrival.log, stores.logs, followed, config, walk), needs)
        elif signal == "metrics" and stores.metrics:
            self._check_metrics(stores.metrics, followed, needs)

    def _check_metrics(self, store: MetricStore, followed: Followed, needs: list[Result]) -> None:
        walk, config = self._walk, self._config
        if self._scraped:
            check = partial(arrival.scrape, store, self._service, config, walk)
            needs = [*needs, walk.hop("scrape", store.label, check, needs)]
        check = partial(arrival.sample, store, self._before, followed, config, walk)
        counted = walk.hop("metric", store.label, check, needs)
        if config.exemplar_filter == "always_off":
            walk.leave_out("exemplar", store.label, "OTEL_METRICS_EXEMPLAR_FILTER is always_off")
        elif self._followed and not followed.recorded and config.exemplar_filter == "trace_based":
            walk.leave_out("exemplar", store.label, "its trace is sampled out")
        else:
            walk.hop("exemplar", store.label, partial(arrival.exemplar, store, followed, config, walk), [counted])

    def _check_grafana(self) -> None:
        if self._console or self._places.left_out("grafana"):
            self._walk.leave_out("grafana", "", "the console replaces it" if self._console else "left out (none)")
            return
        server = self._places.grafana()
        ready = self._walk.hop("grafana", server.base, partial(grafana.ready, server))
        stores = (self._stores.traces, self._stores.logs, self._stores.metrics)
        wanted = [store.label.lower() for store in stores if store and store.label in self._ready]
        self._walk.hop("data sources", "Grafana", partial(grafana.data_sources, server, wanted), [ready])
