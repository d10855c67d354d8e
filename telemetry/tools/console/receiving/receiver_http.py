"""OTLP over HTTP as a WSGI application: protobuf and JSON, plain or gzip.

OTLP's JSON encoding is protobuf's JSON mapping, except that trace and span ids are hexadecimal.
"""

import base64
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterable
from http import HTTPStatus
from http.client import responses
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from google.protobuf import json_format

from telemetry.tools.console.receiving.ingest import SIGNALS, Signal
from telemetry.tools.console.receiving.receiver import Receiver, Refusal

#: Each one takes up to 500 bytes once it is decoded.
_MOST_OBJECTS = 100_000
_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})
#: `bytes.fromhex` would accept whitespace between the digits, too.
_HEXADECIMAL = re.compile("(?:[0-9a-fA-F]{2})*")


def json_to_protobuf(signal: Signal, data: bytes, most_objects: int = _MOST_OBJECTS) -> bytes:
    """Translate a request; unknown fields are ignored, as OTLP requires. Raises Refusal(400) or Refusal(413)."""
    if data.count(b"{") + data.count(b"[") > most_objects:
        raise Refusal(413, f"the message holds more than {most_objects} JSON objects and lists")
    try:
        document = json.loads(data, object_hook=_ids_to_base64)
        # Unpacked, because ParseDict accepts an empty list as an empty object.
        message: bytes = json_format.ParseDict(
            {**document}, signal.request_class(), ignore_unknown_fields=True
        ).SerializeToString()
    except (ValueError, TypeError, json_format.ParseError, RecursionError) as error:
        name = signal.request_class.DESCRIPTOR.full_name
        reason = str(error) or type(error).__name__
        raise Refusal(400, f"not the JSON encoding of {name}: {reason[:500]}") from None
    return message


def _ids_to_base64(item: dict[str, Any]) -> dict[str, Any]:
    # Attributes cannot be mistaken for ids: their keys are values in OTLP's JSON ({"key": ..., "value": ...}).
    for name in _ID_FIELDS & item.keys():
        if isinstance(item[name], str):
            if not _HEXADECIMAL.fullmatch(item[name]):
                raise ValueError(f"{name} is {item[name][:64]!r}; expected hexadecimal digits, two for each byte")
            item[name] = base64.b64encode(bytes.fromhex(item[name])).decode("ascii")
    return item


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
        status, headers, is_json = 200, [], content_type == JSON
        try:
            message = self._answer(environ, content_type)
        except Refusal as refusal:
            status, message, is_json = refusal.status, refusal.rpc_status, content_type != PROTOBUF
            if refusal.retry_after is not None:
                headers.append(("Retry-After", str(math.ceil(refusal.retry_after))))
            if status == HTTPStatus.METHOD_NOT_ALLOWED:
                headers.append(("Allow", "POST"))
        if is_json:
            body = json.dumps(json_format.MessageToDict(message), separators=(",", ":")).encode()
        else:
            body = message.SerializeToString()
        headers += [("Content-Type", JSON if is_json else PROTOBUF), ("Content-Length", str(len(body)))]
        start_response(f"{status} {responses.get(status, 'Refused')}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: WSGIEnvironment, content_type: str) -> Any:
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
        data = self._read(environ["wsgi.input"])
        try:
            return self._read(gzip.GzipFile(fileobj=io.BytesIO(data))) if encoding == "gzip" else data
        except (OSError, EOFError, zlib.error) as error:
            raise Refusal(400, f"not gzip data: {error}") from None

    def _read(self, stream: Any) -> bytes:
        """Return the whole body, but never much more than the limit."""
        data: bytes = stream.read(self._message_bytes + 1)
        if len(data) > self._message_bytes:
            raise Refusal(413, f"the message is larger than {self._message_bytes} bytes")
        return data
