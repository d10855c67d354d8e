"""Counters over a window, from raw samples."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from telemetry.exporting.sending.delivery import Delivery
from telemetry.exporting.sending.sender import Sender
from telemetry.journal.spool import Spool
from telemetry.tools.account import Passed
from telemetry.tools.audit.collector import CollectorCounts
from telemetry.tools.audit.counters import Counters, UncountedError, Window
from telemetry.tools.audit.service_counts import from_status
from telemetry.tools.backends.prometheus import Prometheus, Range, Sample


def series(name: str, *values: tuple[float, float], **labels: str) -> Range:
    return Range({"__name__": name, **labels}, values)


def test_window_lies_between_samples() -> None:
    counters = Counters([series("spans", (85, 10), (100, 20), (115, 50), (130, 90))], 90)
    assert counters.window == Window(100, 130)
    assert counters.gain("spans") == 70


def test_series_that_begins_in_the_window_began_at_zero() -> None:
    spans = series("spans", (100, 5), (115, 9))
    counters = Counters([spans, series("lost", (115, 512), (130, 520), reason="queue_full")], 90)
    assert counters.by("reason", "lost") == {"queue_full": 520}
    assert counters.gain("spans") == 4  # what it had at the begin is from before: nothing was seen without it


def test_counter_that_begins_again() -> None:
    assert Counters([series("spans", (100, 50), (115, 60), (130, 7), (145, 9))], 90).gain("spans") == 19


def test_gone_series_have_no_newest_value() -> None:
    gone = series("queue", (100, 3), (115, 3), instance="a")
    counters = Counters([gone, series("queue", (100, 1), (400, 2), instance="b")], 90)
    assert counters.last("queue") == 2


def test_labels_that_are_empty_match_series_without_them() -> None:
    found = [series("sent", (100, 0), (115, 3)), series("sent", (100, 0), (115, 4), error_type="timeout")]
    counters = Counters(found, 90)
    assert counters.gain("sent", error_type="") == 3
    assert counters.by("error_type", "sent") == {"": 3, "timeout": 4}
    assert (counters.has("sent"), counters.has("received")) == (True, False)


def test_margin_is_that_of_the_load_at_the_ends() -> None:
    quiet = series("spans", (100, 5), (115, 5), (130, 905), (145, 905))
    assert Counters([quiet], 90).margin("spans") == 0
    busy = series("spans", (100, 0), (115, 150), (130, 450))
    assert Counters([busy], 90).margin("spans") == 20 + 40


@pytest.mark.parametrize("found", [[], [series("spans", (100, 5))], [series("spans", (10, 1), (20, 2), (100, 5))]])
def test_too_few_samples(found: list[Range]) -> None:
    with pytest.raises(UncountedError):
        Counters(found, 90)


class Stored(Prometheus):
    """A Prometheus that has these series, at time 160."""

    def __init__(self, *found: Range) -> None:
        super().__init__("http://127.0.0.1:9")
        self._found = found

    def query(self, _expression: str, time: float | None = None) -> list[Sample]:
        return [Sample({}, time or 160)]

    def ranges(self, _expression: str) -> list[Range]:
        return [*self._found]


def test_remote_write_in_the_place_of_otlp() -> None:
    """ALLOY_METRICS was `otlp` until just before the window: what it sent then does not count for what is sent now."""
    received = series("otelcol_receiver_accepted_metric_points_total", (100, 0), (130, 50), (160, 90))
    pending = series("prometheus_remote_storage_samples_pending", (100, 0), (130, 0), (160, 0))
    before = series("otelcol_exporter_sent_metric_points_total", (70, 300), (85, 400))
    counts = CollectorCounts(Stored(received, pending, before), 90)
    assert counts.passed("metrics") == Passed("Alloy", 90, 0, 90, {}, False)


def test_status_has_what_the_sender_has_taken_and_not_begun_to_send(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "traces", max_bytes=1 << 20)
    delivery = Delivery("traces", "http://127.0.0.1:9", "grpc")
    sender = Sender(spool, Mock(), delivery, timeout=1, schedule_delay=0, max_items=10)
    spool.append(b"spans", 7)
    spool.publish()
    assert spool.take(10, 1 << 20)
    found = from_status(sender.status(), [], "spans")
    assert (found.items, found.waiting) == (7, 7)
