"""OTLP over gRPC: what the backend really answered to each request.

Upstream drops the answer unread (https://github.com/open-telemetry/opentelemetry-python/issues/4803), and finds a
RetryInfo only where no server puts it. The stub that it calls sees everything.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from opentelemetry.semconv._incubating.attributes.rpc_attributes import RPC_RESPONSE_STATUS_CODE

from telemetry.answers import REFUSED, REJECTED_FIELDS, TIMEOUT, UNAVAILABLE, Answer, Observe, shorten
from telemetry.encoding import ENCODERS

Exporter = TypeVar("Exporter")

# Where the protocol puts google.rpc.Status, and the one place in which upstream looks for google.rpc.RetryInfo.
_STATUS_DETAILS = "grpc-status-details-bin"
_RETRY_INFO = "google.rpc.retryinfo-bin"
_REASONS = {
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.CANCELLED: UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: TIMEOUT,
}
_HINTS = {
    grpc.StatusCode.UNAVAILABLE: "check that it is up, and the endpoint's host, port (4317 for gRPC) and scheme",
    grpc.StatusCode.DEADLINE_EXCEEDED: "check that it is up and fast enough (OTEL_EXPORTER_OTLP_TIMEOUT)",
    grpc.StatusCode.UNAUTHENTICATED: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    grpc.StatusCode.PERMISSION_DENIED: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    grpc.StatusCode.UNIMPLEMENTED: "check that the endpoint takes this signal over gRPC",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "check the backend's limits (OTEL_BSP_MAX_EXPORT_BATCH_SIZE sets ours)",
}


def observed(exporter: type[Exporter], signal: str, observe: Observe) -> type[Exporter]:
    """Return upstream's class `exporter`, changed to tell `observe` the outcome of each request."""

    class Observed(exporter):  # type: ignore[valid-type, misc]
        def _initialize_channel_and_stub(self) -> None:
            super()._initialize_channel_and_stub()
            stub = self._stub(_Unencoded(self._channel))
            self._client = _ObservedStub(stub, signal, observe, self._renew_channel)

        def _renew_channel(self) -> None:
            # A connection that a router forgot is silent for a quarter of an hour, and a channel that cannot connect
            # waits up to two minutes between attempts. Upstream renews it for UNAVAILABLE only.
            if not self._shutdown:
                self._channel.close()
                self._initialize_channel_and_stub()

        def export(self, data: Any, *args: Any, **kwargs: Any) -> Any:
            # Once, where upstream encodes for each attempt.
            return super().export(ENCODERS[signal](data), *args, **kwargs)

        def _translate_data(self, data: bytes) -> bytes:
            return data

        def _count_data(self, data: bytes) -> int:  # noqa: ARG002
            return 0  # for upstream's own metrics, which are off

    return Observed


class _Unencoded:
    """A channel on which upstream's stubs send bytes as they are."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, request_serializer: object, **options: Any) -> Any:  # noqa: ARG002
        return self._channel.unary_unary(method, **options)


class _ObservedStub:
    def __init__(self, stub: Any, signal: str, observe: Observe, renew: Callable[[], None]) -> None:
        self._stub = stub
        self._signal = signal
        self._observe = observe
        self._renew = renew

    def Export(self, **call: Any) -> Any:  # noqa: N802  (as the generated stub has it)
        try:
            response = self._stub.Export(**call)
        except grpc.RpcError as error:
            failure = _Failure(error)
            self._observe(failure.answer)
            if failure.answer.reason == TIMEOUT:
                self._renew()
            raise failure from None
        except ValueError:  # the channel was closed by a stop
            self._observe(Answer(UNAVAILABLE, "the connection was closed"))
            raise
        success = response.partial_success
        rejected = getattr(success, REJECTED_FIELDS[self._signal])
        self._observe(Answer(None, shorten(success.error_message), "see the backend's own log", rejected))
        return response


class _Failure(grpc.RpcError):
    """A failed call, with what upstream's retries need to know where they look for it."""

    def __init__(self, error: Any) -> None:
        super().__init__()
        self._code: grpc.StatusCode = error.code()
        self._details: str = error.details() or ""
        self._metadata = dict(error.trailing_metadata() or ())
        retry = _retry_info(self._metadata)
        if retry:
            self._metadata[_RETRY_INFO] = retry.SerializeToString()
        self._retry_after = retry.retry_delay.ToTimedelta().total_seconds() if retry else None

    @property
    def answer(self) -> Answer:
        return Answer(
            _REASONS.get(self._code, REFUSED),
            shorten(f"{self._code.name} {self._details}"),
            _HINTS.get(self._code, "see the backend's own log"),
            retry_after=self._retry_after,
            attributes={RPC_RESPONSE_STATUS_CODE: self._code.name},
        )

    def code(self) -> grpc.StatusCode:
        # Upstream retries this one always; OTLP wants that only where the backend says when.
        # https://opentelemetry.io/docs/specs/otlp/#failures
        if self._code is grpc.StatusCode.RESOURCE_EXHAUSTED and self._retry_after is None:
            return grpc.StatusCode.FAILED_PRECONDITION
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return tuple(self._metadata.items())


def _retry_info(metadata: Mapping[str, str | bytes]) -> Any:
    """Return the RetryInfo of a failed call, or None."""
    try:
        if data := metadata.get(_RETRY_INFO):
            return error_details_pb2.RetryInfo.FromString(data)
        for detail in status_pb2.Status.FromString(metadata.get(_STATUS_DETAILS, b"")).details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                return info
    except (DecodeError, TypeError):
        return None
    return None
