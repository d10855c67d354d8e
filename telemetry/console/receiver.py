"""What receiving OTLP is, whichever protocol brings it: decode, misbehave if told to, store, answer."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError, Message

from telemetry.console.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from telemetry.console.ingest import Signal
    from telemetry.console.store import Store


class Refusal(Exception):  # noqa: N818 (a refusal is an answer, not an error of ours)
    """An OTLP request that is answered with an HTTP status, or the gRPC code that goes with it."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Receiver:
    """Takes OTLP requests into the store.

    `faults` may be replaced at any time and holds for requests that begin after that. `answers` counts the answers by
    (protocol, signal, HTTP status), refusals included, 200 for success; protocol is "grpc", "http/protobuf" or
    "http/json".
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults = Faults()
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def answers(self) -> dict[tuple[str, str, int], int]:
        """A copy of the counts of answers."""
        with self._lock:
            return dict(self._answers)

    def start(self) -> None:
        """Let delays last again, after a stop."""
        self._stopping.clear()

    def stop(self) -> None:
        """End delays; requests that still wait are refused."""
        self._stopping.set()

    def receive(self, signal: Signal, protocol: str, decode: Callable[[], Message]) -> Message:
        """Answer one request with its Export*ServiceResponse; raises Refusal."""
        status = 500
        try:
            response = self._receive(signal, decode)
            status = 200
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            with self._lock:
                self._answers[protocol, signal.name, status] += 1
        return response

    def _receive(self, signal: Signal, decode: Callable[[], Message]) -> Message:
        faults = self.faults if signal.name in self.faults.signals else Faults()
        request = decode()
        if faults.delay and self._stopping.wait(faults.delay):
            raise Refusal(503, "the console is stopping")
        if faults.status is not None:
            raise Refusal(faults.status, f"refused on demand with status {faults.status}", faults.retry_after)
        rejection = signal.ingest(self.store, request, faults.partial_reject)
        response: Any = signal.response_class()
        if rejection.records:
            setattr(response.partial_success, signal.rejected_field, rejection.records)
            response.partial_success.error_message = rejection.reason
        answer: Message = response
        return answer


def decode_protobuf(signal: Signal, data: bytes) -> Message:
    """Parse a request; raises Refusal(400)."""
    try:
        return signal.request_class.FromString(data)
    except DecodeError as error:
        raise Refusal(400, f"not a protobuf {signal.request_class.DESCRIPTOR.full_name}: {error}") from None
