"""A TCP proxy that injects faults: in front of a receiver, it simulates a faulty backend for any protocol.

It works on bytes, so HTTP/1.1 and gRPC pass alike. The fault is set at run time (`fault`), also for existing
connections, or for individual future connections (`next_connections`).
"""

import socket
import threading
from collections import deque
from contextlib import suppress
from typing import Self

from telemetry.tools.compare.setups.faulty_connection import PASS, Connection, Fault

_BACKLOG = 128


class FaultProxy:
    """Forwards connections on `port` of 127.0.0.1 to its `target_port`, subject to `fault`; a context manager.

    `port` 0 takes a free port; it stays the same when `refuse` closes and another fault reopens it. `connections`
    counts those accepted, `received` the bytes received from clients.
    """

    def __init__(self, target_port: int, *, port: int = 0, fault: Fault = PASS) -> None:
        self._target = ("127.0.0.1", target_port)
        self.port = port
        self.connections = 0
        self.received = 0
        self._fault = fault
        self._planned: deque[Fault] = deque()
        self._open: set[Connection] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def fault(self) -> Fault:
        """The current fault of all connections except those subject to `next_connections`."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        with self._lock:
            self._fault = fault
            connections = [connection for connection in self._open if connection.own_fault is None]
        if fault.kind == "refuse":
            self._close_listener()
            for connection in connections:
                connection.reset()
        else:
            self._listen()
            for connection in connections:
                connection.fault_changed()

    def next_connections(self, *faults: Fault) -> None:
        """Apply these faults to the next connections instead, to each for its whole life."""
        with self._lock:
            self._planned.extend(faults)

    def start(self) -> None:
        """Listen; with `refuse`, only take the port."""
        self._stopped = False
        self._listen()
        if self._fault.kind == "refuse":
            self._close_listener()

    def stop(self) -> None:
        """Close everything."""
        self._stopped = True
        self._close_listener()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.reset()
        for connection in connections:
            connection.join()

    def _listen(self) -> None:
        if self._listener is not None or self._stopped:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(_BACKLOG)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="fault-proxy", daemon=True).start()

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                own = self._planned.popleft() if self._planned else None
                connection = Connection(self, client, own)
                self._open.add(connection)
            connection.start(self._target)

    def count(self, received: int) -> None:
        """Add to the bytes received from clients."""
        with self._lock:
            self.received += received

    def forget(self, connection: Connection) -> None:
        """Drop a connection that has ended."""
        with self._lock:
            self._open.discard(connection)
