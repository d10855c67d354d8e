"""The console as a whole: three listeners, a scraper and the store behind them."""

import contextlib
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Self

from telemetry.tools.console.application import ConsoleApplication
from telemetry.tools.console.listener import HttpListener, PortError, bind
from telemetry.tools.console.receiving.receiver import Receiver
from telemetry.tools.console.receiving.receiver_grpc import OtlpGrpcServer
from telemetry.tools.console.receiving.receiver_http import OtlpHttpApplication
from telemetry.tools.console.receiving.scraper import Scraper, ScrapeTarget
from telemetry.tools.console.storage.retention import Limits
from telemetry.tools.console.storage.store import Store

_OTLP_THREADS = 8
_API_THREADS = 4


@dataclass(eq=False)
class Console:
    """Receives OTLP, scrapes targets and serves the JSON API; a context manager.

    Port 0 takes a free port; after `start` the attributes `grpc_port`, `http_port` and `api_port` have the real ones.
    Works on one instance of `store`, `receiver` (with its `faults`) and `scraper`, which stay readable after `stop`.
    After `stop` it can be started again, on the same ports with the same store, like a backend that comes back.
    `allow_faults` lets the JSON API set the receiver's faults.
    Needs configured Django settings, whatever they are, and changes none.
    """

    host: str = "127.0.0.1"
    grpc_port: int = 4317
    http_port: int = 4318
    api_port: int = 3000
    scrape_targets: InitVar[Sequence[ScrapeTarget]] = field(default=(), kw_only=True)
    scrape_interval: InitVar[float] = field(default=5.0, kw_only=True)
    limits: Limits = field(default_factory=Limits, kw_only=True)
    allow_faults: bool = field(default=False, kw_only=True)

    def __post_init__(self, scrape_targets: Sequence[ScrapeTarget], scrape_interval: float) -> None:
        self.store = Store(self.limits)
        self.receiver = Receiver(self.store)
        self.scraper = Scraper(self.store, scrape_targets, scrape_interval)
        self._running = contextlib.ExitStack()

    @property
    def grpc_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with gRPC."""
        return f"http://{self._netloc(self.grpc_port)}"

    @property
    def http_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with HTTP; the signals' paths are below it."""
        return f"http://{self._netloc(self.http_port)}"

    @property
    def url(self) -> str:
        """Of the pages and the JSON API, without a slash at the end."""
        return f"http://{self._netloc(self.api_port)}"

    def _netloc(self, port: int) -> str:
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def start(self) -> None:
        """Listen; raises PortError, with nothing left running, if a port cannot be had."""
        with contextlib.ExitStack() as started:
            # All ports first: a busy one is reported before anything runs.
            http_socket = started.enter_context(bind("http_port", self.host, self.http_port))
            api_socket = started.enter_context(bind("api_port", self.host, self.api_port))
            grpc_server = self._bind_grpc()
            started.callback(grpc_server.stop)
            self.grpc_port = grpc_server.port

            otlp = OtlpHttpApplication(self.receiver, self.limits.message_bytes)
            http = HttpListener("otlp-http", http_socket, otlp, _OTLP_THREADS)
            started.callback(http.stop)
            self.http_port = http.port
            api = HttpListener("console-api", api_socket, ConsoleApplication(self), _API_THREADS)
            started.callback(api.stop)
            self.api_port = api.port
            started.callback(self.scraper.stop)
            started.callback(self.receiver.stop)
            for part in (self.receiver, grpc_server, http, api, self.scraper):
                part.start()
            self._running = started.pop_all()

    def _bind_grpc(self) -> OtlpGrpcServer:
        # grpc reports a busy port by lines on stderr; a socket raises an error.
        with bind("grpc_port", self.host, self.grpc_port):
            pass
        try:
            return OtlpGrpcServer(self.receiver, self._netloc(self.grpc_port), self.limits.message_bytes)
        except RuntimeError as error:
            raise PortError("grpc_port", self.host, self.grpc_port, str(error)) from None

    def stop(self) -> None:
        """Finish what runs, for at most about two seconds, and free the ports; stopping twice does no harm."""
        self._running.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
