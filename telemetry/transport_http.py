"""OTLP over HTTP: what the backend really answered to each request.

Upstream's client takes every status below 400 for success, redirects too, and never looks at the answer's body:
https://github.com/open-telemetry/opentelemetry-python/issues/4803. The session that it sends with sees everything.
"""

import errno
import json
import socket
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from time import time
from typing import Any, TypeVar

import requests
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE

from telemetry.answers import OTHER, REFUSED, REJECTED_FIELDS, TIMEOUT, UNAVAILABLE, Answer, Observe, shorten
from telemetry.causes import causes
from telemetry.encoding import ENCODERS

Exporter = TypeVar("Exporter")

_RESPONSES: dict[str, type[Message]] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_RESULTS: dict[str, Any] = {"traces": SpanExportResult, "logs": LogRecordExportResult}
_LONGEST_BODY = 64 * 1024
_UNAVAILABLE = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_HINTS: dict[int, str] = {
    401: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    403: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    404: "check the endpoint's path",
    405: "check the endpoint's path",
    413: "make the batches smaller (OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE)",
    415: "check that the endpoint takes OTLP over HTTP (protobuf)",
    429: "check the backend's limits",
}


def encoding(exporter: type[Exporter], signal: str, observe: Observe) -> type[Exporter]:
    """Return upstream's class `exporter` of spans or log records, changed to encode as `telemetry.encoding` does."""
    result = _RESULTS[signal]

    class Encoding(exporter):  # type: ignore[valid-type, misc]
        def export(self, batch: Sequence[Any]) -> Any:
            if self._shutdown:
                return result.FAILURE
            data, longest = ENCODERS[signal](batch), self._max_request_size
            if len(data) > longest > 0:
                detail = f"nothing was sent: the request has {len(data)} bytes, more than {longest}"
                observe(Answer(OTHER, detail, _HINTS[HTTPStatus.REQUEST_ENTITY_TOO_LARGE]))
                return result.FAILURE
            return result.SUCCESS if self._client.export(data).success else result.FAILURE

    return Encoding


class NotTakenError(requests.RequestException):
    """An answer that upstream would take for success; as an error it is neither that nor retried."""


class ObservedSession(requests.Session):
    """A session of one signal's exporter that tells `observe` the outcome of each request."""

    def __init__(self, signal: str, observe: Observe) -> None:
        super().__init__()
        self._signal = signal
        self._observe = observe
        self._environment: dict[str, dict[str, Any]] = {}

    def merge_environment_settings(self, url: Any, *settings: Any) -> Any:
        """Return what the environment has for `url` (proxies, certificates), read once: a quarter of a call's work."""
        known = self._environment.get(url)
        if known is None:
            known = self._environment[url] = super().merge_environment_settings(url, *settings)
        return known

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send as usual, but read no more of the answer than an answer can have."""
        try:
            response = super().request(*args, **{**kwargs, "stream": True})
            body = _read(response)
        except Exception as error:
            self._observe(_failure(error))
            raise
        answer = self._judge(response.status_code, response.headers, body)
        self._observe(answer)
        if answer.reason and response.status_code < HTTPStatus.BAD_REQUEST:
            raise NotTakenError(answer.detail)
        return response

    def _judge(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        attributes = {HTTP_RESPONSE_STATUS_CODE: status}
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            try:
                rejected, message = _partial_success(self._signal, headers.get("Content-Type", ""), body)
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
            retry_after=_retry_after(headers),
            attributes=attributes,
        )


def _read(response: Any) -> bytes:
    try:
        body: bytes = next(response.iter_content(_LONGEST_BODY), b"")
    except requests.exceptions.ChunkedEncodingError as error:
        # The connection broke within the answer: in this form upstream tries again, as for any that broke.
        raise requests.ConnectionError(error) from error
    if len(body) == _LONGEST_BODY:
        response.close()
    response._content = body  # noqa: SLF001  (what reading it as a whole would set)
    response._content_consumed = True  # noqa: SLF001
    return body


def _partial_success(signal: str, content_type: str, body: bytes) -> tuple[int, str]:
    """Return how many items were rejected and why; raises ValueError for what is no answer to OTLP."""
    kind = content_type.partition(";")[0].strip().lower()
    field = REJECTED_FIELDS[signal]
    if not body:
        return 0, ""
    if kind == "application/x-protobuf":
        try:
            answer: Any = _RESPONSES[signal].FromString(body)
        except DecodeError:
            raise ValueError("the answer is not protobuf") from None
        return getattr(answer.partial_success, field), shorten(answer.partial_success.error_message)
    if kind == "application/json":
        return _partial_success_json(field, body)
    if kind == "text/html":
        raise ValueError("the answer is a web page")
    return 0, ""  # some backends say OK in words of their own


def _partial_success_json(field: str, body: bytes) -> tuple[int, str]:
    first, *rest = field.split("_")
    try:
        success = json.loads(body).get("partialSuccess") or {}
        rejected = success.get(first + "".join(map(str.capitalize, rest)), 0)
        return int(rejected), shorten(str(success.get("errorMessage", "")))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("the answer is not OTLP's JSON") from None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
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
    # The text of requests' errors holds the URL and, for a proxy, its password.
    if isinstance(error, requests.exceptions.Timeout):
        return Answer(TIMEOUT, "no answer in time", "check that it is up and fast enough (OTEL_EXPORTER_OTLP_TIMEOUT)")
    for cause in causes(error):
        if isinstance(cause, socket.gaierror):
            return Answer(UNAVAILABLE, "the host name cannot be resolved", "check the endpoint's host")
        if isinstance(cause, OSError) and cause.errno in errno.errorcode and cause.strerror:
            return Answer(UNAVAILABLE, cause.strerror, "check that it is up, and the endpoint's host and port")
    if isinstance(error, requests.exceptions.SSLError):
        hint = "check the endpoint's scheme and OTEL_EXPORTER_OTLP_CERTIFICATE"
        return Answer(UNAVAILABLE, "no TLS connection", hint)
    hint = "check the endpoint's port (4318 for HTTP) and scheme"
    return Answer(UNAVAILABLE, f"the connection broke ({type(error).__name__})", hint)
