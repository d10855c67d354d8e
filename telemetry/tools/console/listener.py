"""Sockets and waitress servers that start and stop inside a process without leaving anything behind."""

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

_BACKLOG = 512
_CONNECTIONS = 256
_STOP_SECONDS = 1.0
#: Bodies of at most this many bytes stay in memory; larger ones, until they are refused, go to a temporary file.
_BODY_IN_MEMORY = 256 << 10
_LONGEST_BODY = 64 << 20

# Waitress warns whenever a request has to wait for a thread, which is normal for a slow backend.
_quiet_queue = logging.getLogger(f"{__name__}.queue")
_quiet_queue.setLevel(logging.ERROR)


class PortError(Exception):
    """A port cannot be bound; `parameter` is the name of Console's argument (`grpc_port`, ...). One line."""

    def __init__(self, parameter: str, host: str, port: int, reason: str) -> None:
        super().__init__(f"{parameter} {port} on {host} cannot be used: {reason}")
        self.parameter = parameter
        self.host = host
        self.port = port
        self.reason = reason


def bind(parameter: str, host: str, port: int) -> socket.socket:
    """A bound TCP socket on the host's first address; raises PortError."""
    if not 0 <= port <= 65535:  # noqa: PLR2004 (the range of TCP ports)
        raise PortError(parameter, host, port, "not a port; expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortError(parameter, host, port, f"{host!r} is no address of this machine ({error})") from None
    try:
        # A port whose former connections still time out is free; one with a listener is not.
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
        self._started: list[threading.Thread] = []

    def start_new_thread(self, target: Callable[[int], object], thread_no: int) -> None:
        thread = threading.Thread(target=target, name=f"{self._name}-{thread_no}", args=(thread_no,), daemon=True)
        self._started.append(thread)
        thread.start()

    def join(self, deadline: float) -> None:
        for thread in self._started:
            thread.join(max(deadline - time.monotonic(), 0))


class HttpListener:
    """A waitress server in threads of its own."""

    def __init__(self, name: str, bound: socket.socket, application: WSGIApplication, threads: int) -> None:
        self.port: int = bound.getsockname()[1]
        self._dispatcher = _Dispatcher(name)
        self._map: dict[int, Any] = {}
        # One socket makes one server; its trigger, which the stubs do not know as such, wakes its loop.
        self._server: Any = create_server(
            application,
            map=self._map,
            _dispatcher=self._dispatcher,
            sockets=[bound],
            backlog=_BACKLOG,
            connection_limit=_CONNECTIONS,
            asyncore_use_poll=True,
            asyncore_loop_timeout=1,
            log_socket_errors=False,
            inbuf_overflow=_BODY_IN_MEMORY,
            # Waitress refuses before the body is read, so that a client which still sends may see a broken connection
            # only. Up to here the application refuses, with an answer in the client's encoding.
            max_request_body_size=_LONGEST_BODY,
            ident=None,
        )
        self._threads = threads
        self._loop = threading.Thread(target=self._server.run, name=f"{name}-loop", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._dispatcher.set_thread_count(self._threads)
        self._loop.start()

    def stop(self) -> None:
        """Finish the requests that run, for at most a second, close all connections and free the port."""
        if self._loop.is_alive():
            deadline = time.monotonic() + _STOP_SECONDS
            # The loop has to run meanwhile: it is what sends the answers.
            self._dispatcher.shutdown(timeout=1)
            self._dispatcher.join(deadline)
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
