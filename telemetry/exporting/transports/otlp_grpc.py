"""OTLP over gRPC, with the backend's actual answer to each request.

https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import grpc

from telemetry.config import Signal, SignalConfig
from telemetry.exporting.transports.answers import (
    OTHER,
    REFUSED,
    TIMEOUT,
    UNAVAILABLE,
    Answer,
    shorten,
)
from telemetry.exporting.transports.success import PROTOBUF, partial_success

_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_OPTIONS = (
    ("grpc.primary_user_agent", "telemetry-exporter"),
    # gRPC's own retries are immediate: a backend that sends GOAWAY on each connection would cost a whole core.
    ("grpc.enable_retries", 0),
    # Otherwise channels to one address share a connection, which stays while any signal's channel is open.
    ("grpc.use_local_subchannel_pool", 1),
)
_STATUS_CODE = "rpc.response.status_code"
# The trailing metadata with google.rpc.Status.
_STATUS_DETAILS = "grpc-status-details-bin"
_CODE = grpc.StatusCode
_REASONS = {
    _CODE.UNAVAILABLE: UNAVAILABLE,
    _CODE.CANCELLED: UNAVAILABLE,
    _CODE.DEADLINE_EXCEEDED: TIMEOUT,
}
# https://opentelemetry.io/docs/specs/otlp/#failures; RESOURCE_EXHAUSTED only with a RetryInfo.
_RETRYABLE = {
    _CODE.CANCELLED,
    _CODE.DEADLINE_EXCEEDED,
    _CODE.ABORTED,
    _CODE.OUT_OF_RANGE,
    _CODE.UNAVAILABLE,
    _CODE.DATA_LOSS,
}
_HINTS = {
    _CODE.UNAVAILABLE: "check that it is up, and the endpoint's host, port (4317 for gRPC) and scheme",
    _CODE.DEADLINE_EXCEEDED: "check that it is up and fast enough (OTEL_EXPORTER_OTLP_TIMEOUT)",
    _CODE.UNAUTHENTICATED: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    _CODE.PERMISSION_DENIED: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    _CODE.UNIMPLEMENTED: "check that the endpoint takes this signal over gRPC",
    _CODE.RESOURCE_EXHAUSTED: "check the backend's limits (OTEL_BSP_MAX_EXPORT_BATCH_SIZE sets ours)",
}


class GrpcTransport:
    """Sends one signal to `config.endpoint` over one channel."""

    def __init__(self, config: SignalConfig, signal: Signal) -> None:
        self._config = config
        self._signal = signal
        self._metadata = tuple(config.headers)
        self._channel: grpc.Channel | None = None
        self._export: Any = None
        self._closed = False
        self._lock = Lock()

    def send(self, data: bytes, deadline: float) -> Answer:
        """Send one export request; return its outcome by `deadline` (of `time.monotonic`). Never raises."""
        try:
            return self._exchange(data, deadline)
        except Exception as error:  # noqa: BLE001  (any error: the request did not arrive)
            return Answer(OTHER, type(error).__name__, "OTEL_LOG_LEVEL=debug logs more", retryable=True)

    def _exchange(self, data: bytes, deadline: float) -> Answer:
        try:
            export = self._open()
            if export is None:
                return Answer(UNAVAILABLE, "the connection was closed", retryable=True)
            response = export(data, timeout=max(0.001, deadline - monotonic()), metadata=self._metadata)
        except grpc.RpcError as error:
            answer = failure(error)
            if answer.reason in {TIMEOUT, UNAVAILABLE}:
                # A connection that a router has dropped stays silent for 15 minutes, and a channel that cannot connect
                # waits for up to two minutes between attempts.
                self._renew()
            return answer
        except (OSError, ValueError) as error:  # bad certificates, or a channel closed by `close`
            detail = f"no connection can be made: {shorten(str(getattr(error, 'strerror', '') or type(error)))}"
            return Answer(UNAVAILABLE, detail, "check the certificates", retryable=True)
        try:
            rejected, message = partial_success(self._signal, PROTOBUF, response)
        except ValueError as error:
            return Answer(REFUSED, f"OK, but {error}", "check that the endpoint is an OTLP receiver")
        return Answer(None, message, "see the backend's own log", rejected)

    def _open(self) -> Any:
        with self._lock:
            if self._export is None and not self._closed:
                self._channel = _channel(self._config)
                # Without serializers, bytes pass unchanged: gRPC would log each response that it cannot parse.
                self._export = self._channel.unary_unary(_METHODS[self._signal], None, None)
            return self._export

    def _renew(self) -> None:
        with self._lock:
            if self._channel:
                self._channel.close()
            self._channel = self._export = None

    def close(self) -> None:
        """Abort the current request, from any thread."""
        self._closed = True
        self._renew()


def _channel(config: SignalConfig) -> grpc.Channel:
    parts = urlsplit(config.endpoint)
    compression = grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
    if config.insecure:
        return grpc.insecure_channel(parts.netloc, _OPTIONS, compression)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(config.certificate),
        private_key=_read(config.client_key),
        certificate_chain=_read(config.client_certificate),
    )
    return grpc.secure_channel(parts.netloc, credentials, _OPTIONS, compression)


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None


def failure(error: Any) -> Answer:
    """Return the outcome of a failed call."""
    code = error.code()
    retry = _retry_info(dict(error.trailing_metadata() or ()))
    # Not as a timedelta, whose range is smaller than the message's.
    seconds = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9) if retry else None
    return Answer(
        _REASONS.get(code, REFUSED),
        shorten(f"{code.name} {error.details() or ''}"),
        _HINTS.get(code, "see the backend's own log"),
        retryable=code in _RETRYABLE or (code is _CODE.RESOURCE_EXHAUSTED and seconds is not None),
        retry_after=seconds,
        attributes={_STATUS_CODE: code.name},
    )


def _retry_info(metadata: Mapping[str, str | bytes]) -> Any:
    """Return the RetryInfo of a failed call, or None."""
    if _STATUS_DETAILS not in metadata:
        return None
    try:
        # Imported late: only some failures have details, and protobuf takes a tenth of an exporter's start.
        from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

        for detail in status_pb2.Status.FromString(metadata[_STATUS_DETAILS]).details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                return info
    except Exception:  # noqa: BLE001  (without its details, a status still says what failed)
        return None
    return None
