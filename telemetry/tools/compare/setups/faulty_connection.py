"""One connection through the fault proxy, and its faults."""

import socket
import struct
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Literal, Protocol

Kind = Literal["pass", "refuse", "black_hole", "delay", "garbage", "close_mid_answer", "throttle"]

_KINDS = ("pass", "refuse", "black_hole", "delay", "garbage", "close_mid_answer", "throttle")
_CHUNK = 16 * 1024
_POLL_SECONDS = 0.05
_CONNECT_SECONDS = 5.0
_GARBAGE_SECONDS = 0.5
# Neither HTTP nor HTTP/2, and long enough that no parser waits for more.
_GARBAGE = b"\x00\xff\x13\x37garbage\r\n" * 64


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the proxy.

    - `pass`: nothing
    - `refuse`: the port is closed and its connections are reset (for one connection: it is accepted and reset)
    - `black_hole`: connections are accepted, data is discarded without an answer; when the fault ends they are reset
    - `delay`: every byte of an answer comes `seconds` late
    - `garbage`: data is not forwarded but answered with garbage, and the connection is closed
    - `close_mid_answer`: the request is forwarded; `answer_bytes` bytes of its answer are returned, then a reset
    - `throttle`: `bytes_per_second` in each direction
    """

    kind: Kind = "pass"
    seconds: float = 0.0
    answer_bytes: int = 8
    bytes_per_second: float = 1024.0

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"kind is {self.kind!r}; expected {', '.join(_KINDS)}")
        if self.seconds < 0:
            raise ValueError(f"seconds is {self.seconds!r}; expected a number from 0")
        if self.answer_bytes < 0:
            raise ValueError(f"answer_bytes is {self.answer_bytes!r}; expected an integer from 0")
        if self.bytes_per_second <= 0:
            raise ValueError(f"bytes_per_second is {self.bytes_per_second!r}; expected a number above 0")


PASS = Fault()


class Owner(Protocol):
    """The proxy, as its connections see it."""

    @property
    def fault(self) -> Fault:
        """The current fault."""

    def count(self, received: int) -> None:
        """Add to the bytes received from clients."""

    def forget(self, connection: "Connection") -> None:
        """Drop a connection that has ended."""


class Connection:
    """One client and its connection to the target: a thread for each direction.

    `own_fault` replaces the proxy's fault for its whole life.
    """

    def __init__(self, proxy: Owner, client: socket.socket, own_fault: Fault | None) -> None:
        self.own_fault = own_fault
        self._proxy = proxy
        self._client = client
        self._target: socket.socket | None = None
        self._ended = threading.Event()
        self._answered = 0
        self._swallowed = False
        self._threads: list[threading.Thread] = []

    @property
    def fault(self) -> Fault:
        return self.own_fault or self._proxy.fault

    def start(self, target: tuple[str, int]) -> None:
        if self.fault.kind == "refuse":
            self.reset()
            return
        try:
            self._client.settimeout(_POLL_SECONDS)
            self._target = socket.create_connection(target, _CONNECT_SECONDS)
            self._target.settimeout(_POLL_SECONDS)
        except OSError:  # also if a reset has closed one meanwhile
            self.reset()
            return
        self._threads = [
            threading.Thread(target=self._pump, args=(name,), name=f"fault-proxy-{name}", daemon=True)
            for name in ("requests", "answers")
        ]
        for thread in self._threads:
            thread.start()

    def fault_changed(self) -> None:
        self._answered = 0
        if self._swallowed and self.fault.kind != "black_hole":
            self.reset()  # the rest would make no sense

    def reset(self) -> None:
        """End both connections with RST."""
        ends = [end for end in (self._client, self._target) if end is not None]
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._ended.set()  # only now: the threads, which close both ends then, must not close them without RST
        if threading.current_thread() not in self._threads:
            for end in ends:
                end.close()
        if not self._threads:
            self._proxy.forget(self)

    def join(self) -> None:
        for thread in self._threads:
            if thread.is_alive():  # it may be about to start, and will end at once
                thread.join(2.0)

    def _pump(self, direction: str) -> None:
        try:
            if direction == "requests":
                self._pump_requests()
            else:
                self._pump_answers()
        except OSError:
            pass
        finally:
            self._ended.set()
            for end in (self._client, self._target):
                if end is not None:
                    end.close()
            self._proxy.forget(self)

    def _receive(self, end: socket.socket) -> bytes | None:
        """Return the data received, b"" at the end of the stream, None if there is none yet."""
        try:
            return end.recv(_CHUNK)
        except TimeoutError:
            return None

    def _pump_requests(self) -> None:
        assert self._target is not None  # noqa: S101  (for the type checker)
        while not self._ended.is_set():
            data = self._receive(self._client)
            if data == b"":
                with suppress(OSError):
                    self._target.shutdown(socket.SHUT_WR)
                self._ended.wait()  # the answer may still arrive
                return
            fault = self.fault
            if not data:
                continue
            self._proxy.count(len(data))
            if fault.kind == "black_hole":
                self._swallowed = True
                continue
            if fault.kind == "garbage":
                self._answer_garbage()
                return
            self._send(self._target, data, fault)

    def _answer_garbage(self) -> None:
        with suppress(OSError):
            self._client.sendall(_GARBAGE)
            self._client.shutdown(socket.SHUT_WR)
            # Unread data would turn the close into a reset, which overtakes the garbage.
            deadline = monotonic() + _GARBAGE_SECONDS
            while monotonic() < deadline and self._receive(self._client) != b"":
                pass

    def _pump_answers(self) -> None:
        assert self._target is not None  # noqa: S101  (for the type checker)
        late: deque[tuple[float, bytes]] = deque()
        while not self._ended.is_set():
            data = self._receive(self._target)
            fault = self.fault
            if data and fault.kind == "black_hole":
                self._swallowed = True
            elif data and fault.kind != "garbage":
                late.append((monotonic() + (fault.seconds if fault.kind == "delay" else 0.0), data))
            while late and late[0][0] <= monotonic():
                if not self._pass_answer(late.popleft()[1]):
                    return
            if data == b"":
                self._finish_answers(late)
                return

    def _finish_answers(self, late: deque[tuple[float, bytes]]) -> None:
        """Forward delayed data when it is due, after the target has closed."""
        while late:
            due, data = late.popleft()
            if self._ended.wait(max(0.0, due - monotonic())) or not self._pass_answer(data):
                return
        if self.fault.kind == "black_hole":
            self._ended.wait()

    def _pass_answer(self, data: bytes) -> bool:
        """Forward an answer's data; return whether the connection continues."""
        fault = self.fault
        if fault.kind == "close_mid_answer":
            data = data[: max(0, fault.answer_bytes - self._answered)]
            self._answered += len(data)
            self._send(self._client, data, fault)
            if self._answered >= fault.answer_bytes:
                self._ended.wait(_POLL_SECONDS)  # a reset overtakes what was sent just before
                self.reset()
                return False
            return True
        self._send(self._client, data, fault)
        return True

    def _send(self, end: socket.socket, data: bytes, fault: Fault) -> None:
        step = len(data)
        if fault.kind == "throttle":
            step = max(1, int(fault.bytes_per_second * _POLL_SECONDS))
        for start in range(0, len(data), max(1, step)):
            piece = data[start : start + step]
            self._send_all(end, piece)
            if fault.kind == "throttle" and self._ended.wait(len(piece) / fault.bytes_per_second):
                return

    def _send_all(self, end: socket.socket, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._ended.is_set():
            with suppress(TimeoutError):
                view = view[end.send(view) :]
