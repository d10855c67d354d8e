"""The console as a whole: three listeners, a scraper and the store behind them."""

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any, Self
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from telemetry.tools.console.application import ConsoleApplication
from telemetry.tools.console.receiving.receiver import Receiver
from telemetry.tools.console.receiving.receiver_grpc import OtlpGrpcServer
from telemetry.tools.console.receiving.receiver_http import OtlpHttpApplication
from telemetry.tools.console.receiving.scraper import Scraper, ScrapeTarget
from telemetry.tools.console.storage.retention import Limits
from telemetry.tools.console.storage.store import Store

_OTLP_THREADS, _API_THREADS = 8, 4
_BACKLOG = 512
_CONNECTIONS = 256
#: The number kept free by closing the longest idle connections, and the least idle time in seconds.
_FREE_CONNECTIONS, _IDLE_SECONDS = 64, 1.0
#: A client that has not read a byte of its answer for so long is disconnected.
_UNREAD_SECONDS = 30.0
_CLEANUP_SECONDS = 1
_STOP_SECONDS = 1
#: Bodies up to this many bytes stay in memory; larger ones go to a temporary file until they are refused.
_BODY_IN_MEMORY = 256 << 10
_LONGEST_BODY = 64 << 20

# Waitress warns whenever a request has to wait for a thread, which is normal for a slow backend.
_quiet_queue = logging.getLogger(f"{__name__}.queue")
_quiet_queue.setLevel(logging.ERROR)


@dataclass(eq=False)
class PortError(Exception):
    """A port cannot be bound; `parameter` is the name of Console's argument (`grpc_port`, ...); one line."""

    parameter: str
    host: str
    port: int
    reason: str

    def __str__(self) -> str:
        return f"{self.parameter} {self.port} on {self.host} cannot be used: {self.reason}"


def bind(parameter: str, host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to the host's first address; raises PortError."""
    if not 0 <= port <= 65535:  # noqa: PLR2004 (the range of TCP ports)
        raise PortError(parameter, host, port, "not a port; expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortError(parameter, host, port, f"{host!r} is no address of this machine ({error})") from None
    try:
        # A port with connections in TIME_WAIT is free; one with a listener is not.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        busy = error.errno == errno.EADDRINUSE
        raise PortError(parameter, host, port, "the port is busy" if busy else str(error.strerror)) from None
    return bound


class _Dispatcher(ThreadedTaskDispatcher):
    """Waitress's threads, kept so that they can be joined."""

    queue_logger = _quiet_queue

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.started: list[threading.Thread] = []

    def start_new_thread(self, target: Callable[[int], object], thread_no: int) -> None:
        thread = threading.Thread(target=target, name=f"{self._name}-{thread_no}", args=(thread_no,), daemon=True)
        self.started.append(thread)
        thread.start()


class _Server(TcpWSGIServer):
    """Waitress's server, which idle clients and those that do not read cannot block for others."""

    # The stubs differ from the types that waitress passes and keeps.
    active_channels: Any

    def maintenance(self, now: Any) -> None:
        """Close connections that have been idle for two minutes, sooner if new ones need the room."""
        super().maintenance(now)
        channels: list[Any] = list(self.active_channels.values())
        for channel in channels:
            # A stalled connection is never writable, so waitress would not close it; its thread may wait for it.
            if channel.total_outbufs_len and channel.last_activity < now - _UNREAD_SECONDS:
                channel.will_close = True
                with contextlib.suppress(OSError):
                    channel.socket.shutdown(socket.SHUT_RDWR)
        idle = [each for each in channels if not (each.requests or each.will_close or each.total_outbufs_len)]
        excess = len(channels) - (_CONNECTIONS - _FREE_CONNECTIONS)
        for channel in sorted(idle, key=lambda channel: channel.last_activity)[: max(excess, 0)]:
            # An exporter that sends again meanwhile does so on a new connection.
            channel.will_close = channel.last_activity < now - _IDLE_SECONDS


class HttpListener:
    """A waitress server in its own threads."""

    def __init__(self, name: str, bound: socket.socket, application: WSGIApplication, threads: int) -> None:
        self.port: int = bound.getsockname()[1]
        self._dispatcher = _Dispatcher(name)
        self._map: dict[int, Any] = {}
        adjustments = Adjustments(
            sockets=[bound],
            backlog=_BACKLOG,
            connection_limit=_CONNECTIONS,
            asyncore_use_poll=True,
            asyncore_loop_timeout=1,
            log_socket_errors=False,
            inbuf_overflow=_BODY_IN_MEMORY,
            # Waitress refuses before the body is read, so a client that is still sending may see a broken connection
            # only. Up to here the application refuses, with an answer in the client's encoding.
            max_request_body_size=_LONGEST_BODY,
            ident=None,
            cleanup_interval=_CLEANUP_SECONDS,
        )
        address = bound.family, bound.type, bound.proto, bound.getsockname()
        # Its trigger, which the stubs do not declare, wakes its loop.
        self._server: Any = _Server(
            application,
            self._map,
            _sock=bound,
            dispatcher=self._dispatcher,
            adj=adjustments,
            sockinfo=address,
            bind_socket=False,
        )
        self._threads = threads
        self._loop = threading.Thread(target=self._server.run, name=f"{name}-loop", daemon=True)

    def start(self) -> None:
        self._dispatcher.set_thread_count(self._threads)
        self._loop.start()

    def stop(self) -> None:
        """Finish running requests, for at most a second, close all connections and free the port."""
        if self._loop.is_alive():
            deadline = time.monotonic() + _STOP_SECONDS
            # The loop has to run meanwhile, because it sends the answers.
            self._dispatcher.shutdown(timeout=_STOP_SECONDS)
            for thread in self._dispatcher.started:
                thread.join(max(deadline - time.monotonic(), 0))
            trigger = self._server.trigger
            with trigger.lock:  # the loop may be awake already, and would close the trigger's pipe before the pull
                trigger.thunks.append(self._close)
                trigger.pull_trigger()
            self._loop.join(_STOP_SECONDS)
        else:
            self._close()

    def _close(self) -> None:
        # A request that outlives the stop must not write to a descriptor that may have been reused.
        self._server.pull_trigger = lambda: None
        wasyncore.close_all(self._map, ignore_all=True)


@dataclass(eq=False)
class Console:
    """Receives OTLP, scrapes targets and serves the JSON API; a context manager.

    Port 0 takes a free port; after `start` the attributes `grpc_port`, `http_port` and `api_port` have the real ones.
    Works on one instance of `store`, `receiver` (with its `faults`) and `scraper`, which stay readable after `stop`.
    After `stop` it can be restarted on the same ports with the same store, like a backend after an outage.
    `allow_faults` lets the JSON API set the receiver's faults.
    Needs configured Django settings, with any values, and changes none.
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
        """The value of OTEL_EXPORTER_OTLP_ENDPOINT for gRPC."""
        return f"http://{self._netloc(self.grpc_port)}"

    @property
    def http_endpoint(self) -> str:
        """The value of OTEL_EXPORTER_OTLP_ENDPOINT for HTTP; the signals' paths are below it."""
        return f"http://{self._netloc(self.http_port)}"

    @property
    def url(self) -> str:
        """The URL of the pages and the JSON API, without a trailing slash."""
        return f"http://{self._netloc(self.api_port)}"

    def _netloc(self, port: int) -> str:
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def start(self) -> None:
        """Listen; raises PortError, with nothing left running, if a port cannot be bound."""
        with contextlib.ExitStack() as started:
            # All ports first: a busy one is reported before anything runs.
            http_socket = started.enter_context(bind("http_port", self.host, self.http_port))
            api_socket = started.enter_context(bind("api_port", self.host, self.api_port))
            # grpc reports a busy port only on stderr; a socket raises an error.
            bind("grpc_port", self.host, self.grpc_port).close()
            try:
                grpc_server = OtlpGrpcServer(self.receiver, self._netloc(self.grpc_port), self.limits.message_bytes)
            except RuntimeError as error:
                raise PortError("grpc_port", self.host, self.grpc_port, str(error)) from None
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

    def stop(self) -> None:
        """Finish running requests, for at most about two seconds, and free the ports; idempotent."""
        self._running.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
