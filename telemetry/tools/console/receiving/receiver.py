"""Receives OTLP requests of any protocol: injects faults on demand, stores the records, answers."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]

from telemetry.tools.console.receiving.deferral import Deferral
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.receiving.ingest import Rejection, Signal, TooLargeError
from telemetry.tools.console.storage.store import Store

#: HTTP statuses by gRPC code. OTLP's clients retry UNAVAILABLE, and RESOURCE_EXHAUSTED with RetryInfo.
_STATUSES: dict[int, tuple[int, ...]] = {
    code_pb2.INVALID_ARGUMENT: (400, 415),
    code_pb2.UNAUTHENTICATED: (401,),
    code_pb2.PERMISSION_DENIED: (403,),
    code_pb2.UNIMPLEMENTED: (404, 405),
    code_pb2.RESOURCE_EXHAUSTED: (413, 429),
    code_pb2.INTERNAL: (500,),
    code_pb2.UNAVAILABLE: (502, 503, 504),
}
_CODES = {status: code for code, statuses in _STATUSES.items() for status in statuses}


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 (a refusal is an answer, not an error of ours)
    """An OTLP request that is refused with an HTTP status, or the corresponding gRPC code."""

    status: int
    message: str
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def rpc_status(self) -> Any:
        """Return the body of an OTLP error: a google.rpc.Status."""
        return status_pb2.Status(code=_CODES.get(self.status, code_pb2.UNKNOWN), message=self.message)


class Receiver:
    """Takes OTLP requests into the store.

    `faults` may be replaced at any time and applies to requests that begin afterwards. `answers` counts the answers by
    (protocol, signal, HTTP status), refusals included, 200 for success; protocol is "grpc", "http/protobuf" or
    "http/json".
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults = Faults()
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._deferral = Deferral()

    @property
    def answers(self) -> dict[tuple[str, str, int], int]:
        with self._lock:
            return dict(self._answers)

    def start(self) -> None:
        """Enable delays again, after a stop."""
        self._stopping.clear()

    def stop(self) -> None:
        """End delays; waiting requests are refused with 503."""
        self._stopping.set()

    def deferred(self) -> AbstractContextManager[None]:
        """Accept requests meanwhile, and decode them at the end; those that cannot be decoded then are not stored."""
        return self._deferral.until_the_end()

    def _ingest_accepted(self, signal: Signal, request: bytes) -> None:
        with suppress(DecodeError, TooLargeError):
            signal.ingest(self.store, request, 0)

    def receive(self, signal: Signal, protocol: str, read: Callable[[], bytes]) -> Any:
        """Answer one request, which `read` returns as protobuf, with its Export*ServiceResponse; raises Refusal."""
        status = 500
        try:
            response = self._receive(signal, read)
            status = 200
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            with self._lock:
                self._answers[protocol, signal.name, status] += 1
        return response

    def _receive(self, signal: Signal, read: Callable[[], bytes]) -> Any:
        faults = self.faults if signal.name in self.faults.signals else Faults()
        request = read()
        if faults.delay and self._stopping.wait(faults.delay):
            raise Refusal(503, "the console is stopping")
        if faults.status is not None:
            raise Refusal(faults.status, f"refused on demand with status {faults.status}", faults.retry_after)
        later = partial(self._ingest_accepted, signal, request)
        if not faults.partial_reject and self._deferral.defer(later, len(request)):
            return signal.response(Rejection())
        try:
            rejection = signal.ingest(self.store, request, faults.partial_reject)
        except DecodeError as error:
            raise Refusal(400, f"not a protobuf {signal.request_class.DESCRIPTOR.full_name}: {error}") from None
        except TooLargeError as error:
            raise Refusal(413, str(error)) from None
        return signal.response(rejection)
