"""Files of OTLP JSON lines, as OpenTelemetry's file exporter writes them: export of the store, and import."""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE as CUMULATIVE
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA as DELTA

from telemetry.exporting.encoding.json_line import json_line
from telemetry.tools.console.receiving.ingest import SIGNALS, TooLargeError
from telemetry.tools.console.receiving.receiver import Refusal
from telemetry.tools.console.receiving.receiver_http import json_to_protobuf
from telemetry.tools.console.storage.points import OtlpPoint
from telemetry.tools.console.storage.records import Origin, StoredLog, StoredSpan
from telemetry.tools.console.storage.store import Store

_RECORDS_IN_LINE = 200
#: The file exporter's lines hold a batch of a collector, 8,192 records by default.
_LONGEST_LINE = 32 << 20
_MOST_OBJECTS = 1_000_000
_GZIP = b"\x1f\x8b"
_BEGIN = re.compile(rb'\s*\{\s*"resource(Spans|Logs|Metrics)"\s*:')
_SIGNAL_OF = {b"Spans": SIGNALS["traces"], b"Logs": SIGNALS["logs"], b"Metrics": SIGNALS["metrics"]}


class FileError(Exception):
    """A file that cannot be shown; the message is one line with file name, line number and reason."""


def lines_of(signal: str, records: Iterable[StoredSpan | StoredLog | OtlpPoint]) -> Iterator[bytes]:
    """Return lines of a few hundred records, each the JSON encoding of a TracesData, LogsData or MetricsData."""
    left = iter(records)
    while some := list(islice(left, _RECORDS_IN_LINE)):
        message = SIGNALS[signal].request_class()
        parents: dict[Any, Any] = {}
        for record in some:
            if isinstance(record, OtlpPoint):
                _added(_data_of(message, parents, record), 1, record.raw)
            else:
                _added(_scope_of(message, parents, record.origin), 2, record.raw)
        yield json_line(message)


def _added(parent: Message, number: int, raw: bytes) -> Any:
    """Add a message, decoded from its bytes, to the repeated field of that number, and return it."""
    added = getattr(parent, parent.DESCRIPTOR.fields_by_number[number].name).add()
    added.MergeFromString(raw)
    return added


def _scope_of(message: Message, parents: dict[Any, Any], origin: Origin) -> Any:
    """Return the ScopeSpans, ScopeLogs or ScopeMetrics of the origin."""
    if origin not in parents:
        resource, scope = origin.raw
        parents[origin] = _added(_added(message, 1, resource), 2, scope)
    return parents[origin]


def _data_of(message: Message, parents: dict[Any, Any], point: OtlpPoint) -> Any:
    """Return the Gauge, Sum or histogram that the point belongs to."""
    series = point.series
    key = series.origin, series.instrument, point.kind, series.delta
    if key not in parents and series.origin is not None:
        described = series.instrument
        metric = _scope_of(message, parents, series.origin).metrics.add(
            name=described.name, unit=described.unit, description=described.description
        )
        data = parents[key] = getattr(metric, point.kind)
        data.SetInParent()
        if point.kind in {"sum", "histogram", "exponential_histogram"}:
            data.aggregation_temporality = DELTA if series.delta else CUMULATIVE
        if point.kind == "sum":
            data.is_monotonic = described.type == "counter"
    return parents[key]


def read_file(store: Store, path: Path) -> str:
    """Load a file, gzip or plain, into the store; return what was left out, empty if nothing. Raises FileError."""
    left_out, reasons = 0, set()
    number = 0
    try:
        with path.open("rb") as plain:
            packed = plain.read(len(_GZIP)) == _GZIP
            plain.seek(0)
            with gzip.open(plain) if packed else plain as file:
                while line := file.readline(_LONGEST_LINE + 1):
                    number += 1
                    records, reason = _read_line(store, line)
                    left_out += records
                    reasons.add(reason)
    except (OSError, EOFError, zlib.error, DecodeError, TooLargeError, Refusal, FileError) as error:
        if isinstance(error, OSError) and error.strerror:  # the file's error; gzip's own have none
            raise FileError(f"{path}: {error.strerror}") from None
        raise FileError(f"{path}, line {max(number, 1)}: {error}") from None
    return f"{path}: {left_out:,} records are left out: {'; '.join(filter(None, reasons))}" if left_out else ""


def _read_line(store: Store, line: bytes) -> tuple[int, str]:
    if len(line) > _LONGEST_LINE:
        raise FileError(f"longer than {_LONGEST_LINE} bytes")
    if not line.strip():
        return 0, ""
    found = _BEGIN.match(line)
    if found is None:
        raise FileError(
            'expected OTLP JSON lines, each beginning with {"resourceSpans", "resourceLogs" or "resourceMetrics"'
        )
    signal = _SIGNAL_OF[found[1]]
    rejection = signal.ingest(store, json_to_protobuf(signal, line, _MOST_OBJECTS), 0)
    return rejection.records, rejection.reason
