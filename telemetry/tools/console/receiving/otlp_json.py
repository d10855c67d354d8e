"""OTLP's JSON encoding: protobuf's JSON mapping, except that trace and span ids are hexadecimal."""

import base64
import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from telemetry.tools.console.receiving.ingest import Signal
from telemetry.tools.console.receiving.receiver import Refusal

#: Each one takes up to 500 bytes once it is decoded.
_MOST_OBJECTS = 100_000
_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})


def json_to_protobuf(signal: Signal, data: bytes, most_objects: int = _MOST_OBJECTS) -> bytes:
    """Translate a request; unknown fields are ignored, as OTLP asks for. Raises Refusal(400) or Refusal(413)."""
    if data.count(b"{") + data.count(b"[") > most_objects:
        raise Refusal(413, f"the message holds more than {most_objects} JSON objects and lists")
    try:
        document = json.loads(data, object_hook=_ids_to_base64)
        # Unpacked, because ParseDict takes an empty list for an empty object.
        message: bytes = json_format.ParseDict(
            {**document}, signal.request_class(), ignore_unknown_fields=True
        ).SerializeToString()
    except (ValueError, TypeError, json_format.ParseError, RecursionError) as error:
        name = signal.request_class.DESCRIPTOR.full_name
        reason = str(error) or type(error).__name__
        raise Refusal(400, f"not the JSON encoding of {name}: {reason[:500]}") from None
    return message


def encode_json(message: Message) -> bytes:
    """The JSON encoding of an answer."""
    return compact_json(json_format.MessageToDict(message))


def compact_json(document: Any) -> bytes:
    """A JSON document without blanks."""
    return json.dumps(document, separators=(",", ":")).encode()


def _ids_to_base64(item: dict[str, Any]) -> dict[str, Any]:
    # Attributes cannot be mistaken for ids: their keys are values in OTLP's JSON ({"key": ..., "value": ...}).
    for name in _ID_FIELDS & item.keys():
        if isinstance(item[name], str):
            try:
                item[name] = base64.b64encode(bytes.fromhex(item[name])).decode("ascii")
            except ValueError:
                raise ValueError(f"{name} is {item[name][:64]!r}; expected hexadecimal digits") from None
    return item
