"""What the export thread does with a batch: redaction, the SDK's encoder and ours, and how long a request waits for it.

    python -m tests.benchmarks.encoding --batch 512

A real worker sends the spans and log records of real requests to a receiver. As many as a batch has are redacted and
encoded here again and again, one way after the other in each round, so that whatever else the machine does befalls all.
Times are CPU time of this thread; a ratio is the median over the rounds, in brackets where nine tenths of them lie.

The longest stretch is what the thread does at most between two breaks, before the first or after the last: no other
thread runs Python code meanwhile. Fails when it is longer than the aim, or when the encoders' messages differ.
A request of a millisecond, some of it waiting, runs alone and beside a thread that has one batch after the other.
"""

import argparse
import logging
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice, pairwise
from time import perf_counter, sleep, thread_time, time_ns
from unittest import mock

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as sdk_encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as sdk_encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from telemetry import breaks
from telemetry.encoding import encode_logs, encode_spans
from telemetry.logs import translation_of
from telemetry.privacy import redactor
from telemetry.privacy.exporters import RedactingSpanExporter, redacted_span
from tests.benchmarks.redaction import observe

ROUNDS = 41
AIM = 250e-6
# Seconds, but for the steps: what gunicorn's workers have, a batch's pause, and what a request does.
SWITCH_INTERVAL = 0.001
PAUSE = 0.02
DATABASE = 0.0005
REQUEST_STEPS = 20_000
STRETCHES, STRETCH = 5, 1.0
RESOURCE = Resource.create({"service.name": "user-api", "service.version": "0.1.0", "service.instance.id": "host/0"})
SCOPE = InstrumentationScope(
    "opentelemetry.instrumentation.django", "0.66b1", "https://opentelemetry.io/schemas/1.11.0"
)

Action = Callable[[], object]


class Encoder(SpanExporter):
    """An exporter whose backend is nowhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans)
        return SpanExportResult.SUCCESS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=512, help="spans and log records of a batch")
    batch = parser.parse_args().batch
    _, ended, logged = observe(batch)
    spans = list(islice(cycle(map(as_exported, ended)), batch))
    records = list(islice(cycle(map(as_emitted, logged)), batch))
    same = ExportTraceServiceRequest.FromString(encode_spans(spans)) == sdk_encode_spans(spans)
    same = same and ExportLogsServiceRequest.FromString(encode_logs(records)) == sdk_encode_logs(records)
    with mock.patch.object(breaks, "sleep"):
        compare(
            "span",
            {
                "redaction": lambda: [redacted_span(span, redactor()) for span in spans],
                "the SDK's encoder": lambda: sdk_encode_spans(spans).SerializeToString(),
                "ours": lambda: encode_spans(spans),
            },
            batch,
        )
        compare(
            "log record",
            {
                "the SDK's encoder": lambda: sdk_encode_logs(records).SerializeToString(),
                "ours": lambda: encode_logs(records),
            },
            batch,
        )
    exporter = RedactingSpanExporter(Encoder())
    longest = [
        stretches(f"{batch} spans", lambda: exporter.export(spans)),
        stretches(f"{batch} log records", lambda: encode_logs(records)),
    ]
    beside(
        {
            "nothing": lambda: None,
            "the SDK's encoder": lambda: sdk_encode_spans([redacted_span(span, redactor()) for span in spans]),
            "ours": lambda: exporter.export(spans),
        }
    )
    return 0 if same and max(longest) < AIM else 1


def as_exported(span: ReadableSpan) -> ReadableSpan:
    """Return the span as all spans of one tracer are: with the same resource and the same scope."""
    span._resource, span._instrumentation_scope = RESOURCE, SCOPE
    return span


def as_emitted(record: logging.LogRecord) -> ReadableLogRecord:
    body, attributes, *_ = translation_of(record)
    now = time_ns()
    emitted = LogRecord(
        timestamp=now,
        observed_timestamp=now,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=body,
        attributes=attributes,
    )
    kept = ReadWriteLogRecord(emitted, RESOURCE, SCOPE)
    return ReadableLogRecord(kept.log_record, RESOURCE, SCOPE, kept.limits)


def compare(item: str, ways: dict[str, Action], items: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, action in ways.items():
            begin = thread_time()
            action()
            seconds[name].append((thread_time() - begin) / items)
    for name, each in seconds.items():
        print(f"{item:10}  {name:20} {statistics.median(each) * 1e6:6.1f} us")
    ratios = sorted(ours / sdk for ours, sdk in zip(seconds["ours"], seconds["the SDK's encoder"], strict=True))
    low, high = ratios[ROUNDS // 20], ratios[-1 - ROUNDS // 20]
    print(f"{item:10}  ours / the SDK's      {statistics.median(ratios):6.2f} [{low:.2f}-{high:.2f}]")


def stretches(what: str, action: Action) -> float:
    """Print how long `action` goes on between breaks; return the longest stretch, in seconds, of an ordinary round."""
    longest, whole, counts = [], [], []
    for _ in range(ROUNDS):
        marks = [thread_time()]

        def take_break(seconds: float, marks: list[float] = marks) -> None:
            marks.append(thread_time())
            sleep(seconds)

        with mock.patch.object(breaks, "sleep", take_break):
            action()
        marks.append(thread_time())
        longest.append(max(after - before for before, after in pairwise(marks)))
        whole.append(marks[-1] - marks[0])
        counts.append(len(marks) - 2)
    median = statistics.median(longest)
    print(f"{what}: {statistics.median(whole) * 1e3:.1f} ms of work, {statistics.median(counts):.0f} breaks, ", end="")
    print(f"{median * 1e3:.2f} ms the longest stretch (aim: under {AIM * 1e3:g})")
    return median


def beside(works: dict[str, Action]) -> None:
    """Print how long a request takes while another thread does each of `works` again and again."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(STRETCHES):
        for name, work in works.items():
            with repeated(work):
                end = perf_counter() + STRETCH
                while perf_counter() < end:
                    seconds[name].append(request())
    for name, each in seconds.items():
        p50, p90, p99 = (statistics.quantiles(each, n=100)[percent - 1] * 1e3 for percent in (50, 90, 99))
        print(f"a request beside {name:20} {p50:5.2f} ms at p50, {p90:.2f} at p90, {p99:.2f} at p99")


@contextmanager
def repeated(work: Action) -> Iterator[None]:
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(PAUSE):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stopped.set()
    thread.join()


def request() -> float:
    """Return how many seconds a request takes that computes, waits for its database, and computes again."""
    begin = perf_counter()
    sum(range(REQUEST_STEPS))
    sleep(DATABASE)
    sum(range(REQUEST_STEPS))
    return perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
