"""gunicorn's threaded worker, whose threads never wait for a slow client's request."""

import gc
import os
import re
import selectors
import socket
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

REQUEST_SECONDS = 10.0
"""How long a client may take to send a request, including its body."""

ANSWER_SECONDS = 10.0
"""How long a client may stop reading its response (Linux)."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 4 * 1024 * 1024
"""How long and how much is read after a connection's last response, so that the client can read that response."""

HEAD_BYTES = 64 * 1024
"""How long a request's head may be."""

AWAITED_BYTES = 128 * 1024
"""How much of a request to await; a thread reads the rest of a larger one (USERAPI_MAX_BODY_BYTES)."""

_PREFIX = re.escape(os.environ.get("SCRIPT_NAME", "").encode())
_PROBE = re.compile(rb"(?:GET|HEAD) %s/(?:livez|readyz)[ ?]" % _PREFIX)
_LENGTH = re.compile(rb"\r\ncontent-length:(?:[ \t]*0*(\d{1,18})[ \t]*\r\n)?", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HEAD_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_SWEEP_SECONDS = 0.5
_FIRST_LOOK = 8 * 1024


class PatientThreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Passes a connection to a thread once its request has arrived, and probes to a thread reserved for them.

    gunicorn's own worker does so at the first byte, so that a few slow clients occupy all threads. With TLS in gunicorn
    itself, where the request cannot be inspected, this remains so.
    """

    def init_process(self) -> None:
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probes")
        self._lingering: deque[Any] = deque()
        self._next_sweep = 0.0
        for listener in self.sockets:
            # Inherited by connections; ends those whose clients have stopped reading.
            with suppress(OSError, AttributeError):
                listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(ANSWER_SECONDS * 1000))
        super().init_process()

    def load_wsgi(self) -> None:
        """Import the application without garbage collection, which would take an eighth of the start's CPU time.

        Imported objects stay, so later collections skip them, too.
        """
        gc.disable()
        try:
            super().load_wsgi()
        finally:
            gc.freeze()
            gc.enable()

    def enqueue_req(self, conn: Any) -> None:
        """Give the connection to a thread, or wait for the rest of its request."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        seen = _peek(conn.sock)
        request = (conn.parser.unreader.buf.getvalue() if conn.parser else b"") + (seen or b"")
        if len(request) >= HEAD_BYTES and b"\r\n\r\n" not in request[:HEAD_BYTES]:
            with suppress(OSError):
                conn.sock.send(_HEAD_TOO_LONG)
            self._linger(conn)
            return
        missing, refused = _missing(request)
        # A wake-up without new bytes: the client has closed the connection, so a thread will not wait.
        ended = seen == b"" or len(request) == getattr(conn, "length", None)
        if ended or not missing:
            _wake_at(conn.sock, 1)
            conn.refused = refused
            self._submit(self._probes if _PROBE.match(request) else self.tpool, conn)
            return
        if not hasattr(conn, "length"):
            conn.timeout = time.monotonic() + REQUEST_SECONDS
        conn.length = len(request)
        head, whole, _ = request.partition(b"\r\n\r\n")
        if whole and not getattr(conn, "continued", False) and _EXPECT.search(head + b"\r\n"):
            conn.continued = True
            with suppress(OSError):
                conn.sock.send(_CONTINUE)
        _wake_at(conn.sock, len(seen or b"") + missing)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _submit(self, pool: ThreadPoolExecutor, conn: Any) -> None:
        conn.data_ready = True
        for name in ("length", "continued"):
            vars(conn).pop(name, None)
        done = pool.submit(self.handle, conn)
        done.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer a request. One refused unread ends its connection, as the thread would otherwise wait for the body."""
        if getattr(conn, "refused", False):
            req.force_close()
        kept: bool = super().handle_request(req, conn)
        return kept

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep the connection, or end it without waiting for the client to end it, as gunicorn's own worker does."""
        if self.cfg.is_ssl or (not fs.cancelled() and fs.exception() is None and fs.result()):
            super().finish_request(conn, fs)
        else:
            self._linger(conn)

    def _linger(self, conn: Any) -> None:
        """End a connection once its client has had time to read the response."""
        _wake_at(conn.sock, 1)
        conn.timeout = time.monotonic() + LINGER_SECONDS
        conn.drained = 0
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):
            self.nr_conns -= 1
            conn.close()
        else:
            self._lingering.append(conn)

    def _drain(self, conn: Any, _sock: socket.socket) -> None:
        """Read remaining bytes: unread ones would turn the close into a reset, which can overtake the response."""
        try:
            size = len(conn.sock.recv(AWAITED_BYTES))
        except BlockingIOError:
            return
        except OSError:
            size = 0
        conn.drained += size
        if not size or conn.drained > LINGER_BYTES:
            self._end(conn, self._lingering)

    def _end(self, conn: Any, connections: deque[Any]) -> None:
        connections.remove(conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """End connections whose request or close has not arrived in time."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_SECONDS
        for conn in list(self.pending_conns):
            if not self.alive:
                conn.timeout = min(conn.timeout, now + STOP_KEEPALIVE_LINGER)
            if conn.timeout > now:
                continue
            with suppress(OSError):
                if conn.sock.recv(AWAITED_BYTES):  # read, because unread bytes would turn the close into a reset
                    conn.sock.send(_TIMED_OUT)
            self._end(conn, self.pending_conns)
        while self._lingering and self._lingering[0].timeout <= now:
            self._end(self._lingering[0], self._lingering)


def _peek(sock: socket.socket) -> bytes | None:
    """Return what has arrived without consuming it; None for nothing yet, b"" once the client has closed."""
    sock.setblocking(False)
    try:
        seen = sock.recv(_FIRST_LOOK, socket.MSG_PEEK)
        return sock.recv(AWAITED_BYTES, socket.MSG_PEEK) if len(seen) == _FIRST_LOOK else seen
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _missing(request: bytes) -> tuple[int, bool]:
    """Return how many bytes to wait for, and whether the service refuses the request regardless of its body."""
    end = request.find(b"\r\n\r\n")
    if end < 0:
        return 1, False
    if _CHUNKED.search(request, 0, end + 2):
        return 0, True
    found = _LENGTH.search(request, 0, end + 2)
    # gunicorn or the service refuses any other value.
    length = int(found[1] or sys.maxsize) if found else 0
    if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return 0, True
    return max(0, min(end + 4 + length, AWAITED_BYTES) - len(request)), False


def _wake_at(sock: socket.socket, size: int) -> None:
    """Let the kernel report the socket as readable from `size` bytes on, so that single bytes cause no wake-up."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
