"""An OTLP message in the format of the OTLP file exporter: one line of JSON.

https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/#json-lines-file
"""

import json
import re
from base64 import b64decode

from google.protobuf import json_format
from google.protobuf.message import Message

# Quotes within JSON strings are escaped, so no exported text can match this.
_ID = re.compile(rb'"(traceId|spanId|parentSpanId)":"([A-Za-z0-9+/=]*)"')


def json_line(message: Message) -> bytes:
    """Return `message` as a line with its newline; ids are hexadecimal, unlike protobuf's JSON with base64."""
    document = json_format.MessageToDict(message, use_integers_for_enums=True)
    line = json.dumps(document, separators=(",", ":")).encode()
    return _ID.sub(lambda found: b'"%b":"%b"' % (found[1], b64decode(found[2]).hex().encode()), line) + b"\n"
