"""Real backends as the store of a run: counts come from Prometheus, Tempo or Jaeger, and Loki."""

from contextlib import AbstractContextManager, nullcontext
from time import monotonic, sleep, time
from urllib.parse import urlsplit

from telemetry.tools.backends import BackendError, Jaeger, Loki, Prometheus, Tempo
from telemetry.tools.compare.counts.ledger import Stored
from telemetry.tools.compare.options import Backends
from telemetry.tools.compare.setups.route import Variant

_GRPC, _HTTP = 4317, 4318
_MOST_TRACES = 50_000
_MARGIN = 5.0
# Queries load the backends, so an answer is reused for a while. Seconds.
_FRESH = 0.5
_SCRAPE_SECONDS = 90.0
_COUNT = "http_server_request_duration_seconds_count"


class RemoteStore:
    """The items that real backends have of the service with this name, which is unique to the run.

    Spans that arrive twice are one in a trace; the counter is the highest value that Prometheus ever returned, since
    the series of a target become stale when it ends.
    """

    remote = True

    def __init__(self, backends: Backends, variant: Variant, service: str) -> None:
        self._variant = variant
        self._service = service
        self._backends = backends
        self._prometheus = Prometheus(backends.prometheus)
        self._loki = Loki(backends.loki)
        self._started = time() - _MARGIN
        self._read_at = 0.0
        self._last = Stored()
        self.trouble = ""
        self._wanted = 0

    @property
    def env(self) -> dict[str, str]:
        """The environment of a service that sends to them."""
        variant, backends = self._variant, self._backends
        if variant.mode == "collector":
            host, _, port = (backends.otlp or f"localhost:{_GRPC}").rpartition(":")
            http = variant.protocol != "grpc"
            endpoint = f"http://{host}:{_HTTP}" if http else f"{host}:{port}"
            return {
                "TELEMETRY_MODE": "collector",
                "OTEL_EXPORTER_OTLP_PROTOCOL": variant.protocol,
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            }
        traces = backends.otlp_traces or f"{urlsplit(backends.tempo or backends.jaeger).hostname}:{_GRPC}"
        env = {
            "TELEMETRY_MODE": "direct",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": traces,
        }
        if not variant.sends_logs:
            return env
        return env | {
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{backends.loki.rstrip('/')}/otlp/v1/logs",
        }

    def read(self) -> Stored:
        """Return what they have; if one cannot answer, use its last answer and set `trouble` to the reason."""
        if monotonic() - self._read_at > _FRESH:
            try:
                self._last, self.trouble = self._ask(), ""
            except BackendError as error:
                self.trouble = str(error)
            self._read_at = monotonic()
        return self._last

    def scrape(self) -> None:
        """Wait until Prometheus, which scrapes by itself, has counted as many requests as there are spans."""
        deadline = monotonic() + _SCRAPE_SECONDS
        while self._variant.mode == "direct" and monotonic() < deadline:
            stored = self.read()
            if stored.requests >= max(stored.server_spans, self._wanted):
                return
            sleep(_FRESH)

    def expect(self, requests: int) -> None:
        """Set how many requests `scrape` waits for."""
        self._wanted = requests

    def deferred(self) -> AbstractContextManager[None]:
        """Do nothing: the backends decode by themselves."""
        return nullcontext()

    def _ask(self) -> Stored:
        server, spans = self._spans()
        until = time() + _MARGIN
        selector = f'{{service_name="{self._service}"}}'
        records = self._loki.count(selector, self._started, until)
        access = self._loki.count(f'{selector} | scope_name="userapi.access"', self._started, until)
        by_service, by_job = (f'sum({_COUNT}{{{label}="{self._service}"}})' for label in ("service_name", "job"))
        requests = self._prometheus.value(f"{by_service} or {by_job}")
        return Stored(
            server_spans=server,
            access_records=access,
            requests=max(self._last.requests, round(requests or 0)),
            spans=spans,
            log_records=records,
        )

    def _spans(self) -> tuple[int, int]:
        """Return the numbers of server spans and of all spans."""
        until = time() + _MARGIN
        if self._backends.tempo:
            tempo = Tempo(self._backends.tempo)
            name = f'resource.service.name = "{self._service}"'
            found = [
                tempo.search(query, self._started, until, _MOST_TRACES)
                for query in (f"{{ {name} && kind = server }}", f"{{ {name} }}")
            ]
            server, spans = (sum(max(1, trace.matched) for trace in traces) for traces in found)
            return server, spans
        stored = Jaeger(self._backends.jaeger).search(self._service, self._started, until, _MOST_TRACES)
        ids = {span.span_id: span.kind for span in stored}
        return sum(kind == "server" for kind in ids.values()), len(ids)
