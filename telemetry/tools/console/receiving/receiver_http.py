"""OTLP over HTTP as a WSGI application: protobuf and JSON, plain or gzip."""

import gzip
import io
import math
import zlib
from collections.abc import Iterable
from http import HTTPStatus
from http.client import responses
from wsgiref.types import StartResponse, WSGIEnvironment

from google.protobuf.message import Message

from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.receiving.otlp_json import encode_json, json_to_protobuf
from telemetry.tools.console.receiving.receiver import Receiver, Refusal

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


class OtlpHttpApplication:
    """Answers POST /v1/traces, /v1/metrics and /v1/logs in the request's encoding; errors are google.rpc.Status."""

    def __init__(self, receiver: Receiver, message_bytes: int) -> None:
        self._receiver = receiver
        self._message_bytes = message_bytes
        self._signals = {signal.path: signal for signal in SIGNALS.values()}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        content_type = str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
        try:
            response = self._answer(environ, content_type)
        except Refusal as refusal:
            return _refuse(refusal, content_type, start_response)
        encoding = JSON if content_type == JSON else PROTOBUF
        return _respond(start_response, 200, encoding, response, [])

    def _answer(self, environ: WSGIEnvironment, content_type: str) -> Message:
        signal = self._signals.get(environ["PATH_INFO"])
        if signal is None:
            raise Refusal(404, f"no such path; expected one of {', '.join(self._signals)}")
        if environ["REQUEST_METHOD"] != "POST":
            raise Refusal(405, f"the method is {environ['REQUEST_METHOD']}; expected POST")
        if content_type == PROTOBUF:
            return self._receiver.receive(signal, "http/protobuf", lambda: self._body(environ))
        if content_type == JSON:
            return self._receiver.receive(signal, "http/json", lambda: json_to_protobuf(signal, self._body(environ)))
        raise Refusal(415, f"Content-Type is {content_type!r}; expected {PROTOBUF} or {JSON}")

    def _body(self, environ: WSGIEnvironment) -> bytes:
        encoding = str(environ.get("HTTP_CONTENT_ENCODING", "")).strip().lower()
        if encoding not in {"", "identity", "gzip"}:
            raise Refusal(415, f"Content-Encoding is {encoding!r}; expected gzip or identity")
        data: bytes = environ["wsgi.input"].read(self._message_bytes + 1)
        if len(data) > self._message_bytes:
            raise self._too_large()
        return self._inflate(data) if encoding == "gzip" else data

    def _inflate(self, data: bytes) -> bytes:
        """Decompress, never more than the limit."""
        try:
            inflated = gzip.GzipFile(fileobj=io.BytesIO(data)).read(self._message_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise Refusal(400, f"not gzip data: {error}") from None
        if len(inflated) > self._message_bytes:
            raise self._too_large()
        return inflated

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the message is larger than {self._message_bytes} bytes")


def _refuse(refusal: Refusal, content_type: str, start_response: StartResponse) -> Iterable[bytes]:
    headers = []
    if refusal.retry_after is not None:
        headers.append(("Retry-After", str(math.ceil(refusal.retry_after))))
    if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", "POST"))
    encoding = PROTOBUF if content_type == PROTOBUF else JSON
    return _respond(start_response, refusal.status, encoding, refusal.rpc_status(), headers)


def _respond(
    start_response: StartResponse, status: int, encoding: str, message: Message, headers: list[tuple[str, str]]
) -> Iterable[bytes]:
    body = encode_json(message) if encoding == JSON else message.SerializeToString()
    line = f"{status} {responses.get(status, 'Refused')}"
    start_response(line, [("Content-Type", encoding), ("Content-Length", str(len(body))), *headers])
    return [body]
