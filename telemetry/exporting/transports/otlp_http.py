"""OTLP over HTTP, with the backend's actual answer to each request.

Redirects are not followed, and a response that is not OTLP's is no success, whatever its status.
https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

import errno
import gzip
import socket
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from time import monotonic, time

import urllib3

from telemetry.causes import causes as causes_of
from telemetry.config import Signal, SignalConfig
from telemetry.exporting.transports.answers import OTHER, REFUSED, TIMEOUT, UNAVAILABLE, Answer, shorten
from telemetry.exporting.transports.connection import KeptConnection
from telemetry.exporting.transports.success import partial_success
from telemetry.exporting.transports.watchdog import Watchdog

_STATUS_CODE = "http.response.status_code"
_UNAVAILABLE = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_RETRYABLE = {HTTPStatus.TOO_MANY_REQUESTS, *_UNAVAILABLE}
_HINTS: dict[int, str] = {
    401: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    403: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    404: "check the endpoint's path",
    405: "check the endpoint's path",
    413: "make the batches smaller (OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE)",
    415: "check that the endpoint takes OTLP over HTTP (protobuf)",
    429: "check the backend's limits",
}
_CLOSED = Answer(UNAVAILABLE, "the connection was closed", retryable=True)
_TOO_LATE = Answer(
    TIMEOUT, "no answer in time", "check that it is up and fast enough (OTEL_EXPORTER_OTLP_TIMEOUT)", retryable=True
)


class HttpTransport:
    """Sends one signal to `config.endpoint` over one persistent connection."""

    def __init__(self, config: SignalConfig, signal: Signal) -> None:
        self._config = config
        self._signal = signal
        # As with the SDK's exporter, configured headers replace these two.
        self._headers = {"user-agent": "telemetry-exporter", "content-type": "application/x-protobuf"}
        self._headers |= {name.lower(): value for name, value in config.headers}
        if config.compression == "gzip":
            self._headers["content-encoding"] = "gzip"
        self._connection: KeptConnection | None = None
        self._watchdog = Watchdog(self._cut)
        self._closed = False

    def _cut(self) -> None:
        if self._connection:
            self._connection.cut()

    def send(self, data: bytes, deadline: float) -> Answer:
        """Send one export request; return its outcome by `deadline` (of `time.monotonic`). Never raises."""
        self._watchdog.begin(deadline)
        try:
            if self._config.compression == "gzip":
                data = gzip.compress(data, 6)
            answer = self._post(data, deadline)
        except Exception as error:  # noqa: BLE001  (any error: the request did not arrive)
            answer = _failure(error)
        expired = self._watchdog.end()
        status = int(answer.attributes.get(_STATUS_CODE, 0))
        if self._connection and (expired or self._closed or not status):
            self._connection.close()
            if not status:
                self._connection = None  # the next one reads the certificates again, which may have been renewed
        if self._closed and answer.reason:
            return _CLOSED
        # A refusal counts even if its body did not arrive completely.
        return _TOO_LATE if expired and status < HTTPStatus.MULTIPLE_CHOICES else answer

    def _post(self, data: bytes, deadline: float) -> Answer:
        if self._closed:
            return _CLOSED
        if self._connection is None:
            try:
                self._connection = KeptConnection(self._config)
            except (OSError, ValueError) as error:
                detail = f"no connection can be made: {shorten(str(getattr(error, 'strerror', '') or type(error)))}"
                return Answer(UNAVAILABLE, detail, "check the certificates and the proxy", retryable=True)
        connection = self._connection
        try:
            outcome = connection.post(data, self._headers, max(0.001, deadline - monotonic()))
        except urllib3.exceptions.ProtocolError:
            # A backend may close an idle connection just as it is used again.
            if connection.is_fresh or self._closed or monotonic() >= deadline:
                raise
            outcome = connection.post(data, self._headers, max(0.001, deadline - monotonic()))
        return judge(self._signal, *outcome)

    def close(self) -> None:
        """Abort the current request, from any thread."""
        self._closed = True
        self._watchdog.close()


def judge(signal: str, status: int, headers: Mapping[str, str], body: bytes | None) -> Answer:
    """Return the outcome of a backend's response."""
    attributes = {_STATUS_CODE: status}
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        try:
            rejected, message = partial_success(signal, headers.get("Content-Type", ""), body)
        except ValueError as error:
            detail = f"HTTP {status}, but {error}"
            return Answer(REFUSED, detail, "check that the endpoint is an OTLP receiver", attributes=attributes)
        return Answer(None, message, "see the backend's own log", rejected, attributes=attributes)
    if status < HTTPStatus.BAD_REQUEST:
        detail, hint = f"HTTP {status}, a redirect, which is not followed", "set the endpoint to where it leads"
        return Answer(REFUSED, detail, hint, attributes=attributes)
    return Answer(
        UNAVAILABLE if status in _UNAVAILABLE else REFUSED,
        f"HTTP {status} {_phrase(status)}".strip(),
        _HINTS.get(status, "see the backend's own log"),
        retryable=status in _RETRYABLE,
        retry_after=retry_after(headers),
        attributes=attributes,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return a Retry-After header in seconds, None without a valid one."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if isfinite(seconds) else None


def _failure(error: Exception) -> Answer:
    # Not the text of urllib3's errors, which contains the URL and, for a proxy, its password.
    if isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(
        error, urllib3.exceptions.NewConnectionError
    ):
        return _TOO_LATE
    causes = list(causes_of(error))
    if tls := [cause for cause in causes if isinstance(cause, (ssl.SSLError, urllib3.exceptions.SSLError))]:
        why = next((cause.reason for cause in tls if isinstance(cause, ssl.SSLError) and cause.reason), "")
        hint = "check the endpoint's scheme and OTEL_EXPORTER_OTLP_CERTIFICATE"
        return Answer(UNAVAILABLE, f"no TLS connection ({why})" if why else "no TLS connection", hint, retryable=True)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            detail, hint = "the host name cannot be resolved", "check the endpoint's host"
            return Answer(UNAVAILABLE, detail, hint, retryable=True)
        if isinstance(cause, OSError) and cause.errno in errno.errorcode and cause.strerror:
            hint = "check that it is up, and the endpoint's host and port"
            return Answer(UNAVAILABLE, cause.strerror, hint, retryable=True)
    if isinstance(error, urllib3.exceptions.HTTPError):
        detail, hint = f"the connection broke ({type(error).__name__})", "check the endpoint's port (4318 for HTTP)"
        return Answer(UNAVAILABLE, detail, f"{hint} and scheme", retryable=True)
    return Answer(OTHER, type(error).__name__, "OTEL_LOG_LEVEL=debug logs more", retryable=True)
