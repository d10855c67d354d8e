"""What the store keeps over time: requests, delays, senders, and what became of their records."""

import time
from typing import Any
from unittest.mock import Mock

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from telemetry.tools.console.pages.formats import time_of_day
from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.history import (
    BUCKETS,
    SLOT_SECONDS,
    SLOTS,
    Figures,
    History,
    added_up,
    bucket_of,
    new_counts,
)
from telemetry.tools.console.storage.store import Store
from tests.support.service import wait_until
from tests.tools.console.client import attributes, logs, many_ids, request, resource, traces

MILLISECOND = 10**6
SECOND = 10**9


def take(store: Store, signal: str, message: Any) -> None:
    SIGNALS[signal].ingest(store, message.SerializeToString(), 0)


def requests(store: Store, count: int, ago: float, mode: str = "direct", first: int = 0, **span: Any) -> None:
    """Server spans of 10 ms that ended so many seconds ago."""
    end = time.time_ns() - int(ago * SECOND)
    ids = [(trace_id, f"{first + 1:016x}") for trace_id, _ in many_ids(count)]
    values = {"start_time_unix_nano": end - 10 * MILLISECOND, "end_time_unix_nano": end, **span}
    take(store, "traces", traces(ids, mode=mode, **values))


def test_durations_fall_into_buckets_of_an_eighth() -> None:
    found = [bucket_of(each) for each in range(0, 4096 * 64, 1024)]
    assert found == sorted(found)
    assert found[:9] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert [bucket_of(each) for each in (1 << 30, (1 << 30) * 9 // 8 - 1, (1 << 30) * 9 // 8)] == [128, 128, 129]
    assert bucket_of(1 << 63) == BUCKETS - 1


def test_quantile_is_close_to_the_real_one() -> None:
    counts = new_counts()
    for number in range(1, 1001):
        counts[bucket_of(number * MILLISECOND)] += 1
    for share in (0.01, 0.5, 0.95, 0.99):
        figures = Figures(0, 1, 1000, 0, added_up([counts]), added_up([]))
        assert figures.duration(share) == pytest.approx(share, rel=0.06)
        assert figures.delay(share) is None


def test_history_counts_requests_when_they_ended() -> None:
    store = Store()
    requests(store, 6, ago=100)
    requests(store, 4, ago=40, first=1, status={"code": 2})
    take(store, "traces", traces(many_ids(3), mode="direct", kind=3, name="SELECT"))
    [parts] = store.history(300, 75).values()
    busy = [part for part in parts if part.requests]
    assert [(part.requests, part.errors) for part in busy] == [(6, 0), (4, 4)]
    assert [part.rate for part in busy] == [1.5, 1.0]
    assert busy[1].start - busy[0].start == pytest.approx(60, abs=4)
    assert busy[1].error_ratio == 1
    assert busy[0].duration(0.5) == pytest.approx(0.01, rel=0.13)
    assert busy[1].delay(0.5) == pytest.approx(40, rel=0.13)
    assert parts[0].error_ratio is None
    assert parts[0].duration(0.5) is None


def test_history_leaves_out_what_is_older_than_the_ring() -> None:
    store = Store()
    requests(store, 1, ago=5)
    requests(store, 2, ago=2 * SLOTS * SLOT_SECONDS, first=1)
    assert store.mode("direct").server_spans == 3
    assert sum(part.requests for part in store.history(SLOTS * SLOT_SECONDS, 75)["direct"]) <= 1


def test_half_an_hour_is_whole_however_late_spans_arrive() -> None:
    history = History()
    for number in range(1000):
        now_ns = (number * SLOT_SECONDS + 1) * SECOND
        for late in (0, 12):
            end_ns = max(now_ns - late * SECOND, 0)
            history["direct"].add(Mock(start_ns=0, end_ns=end_ns, status=0), now_ns)
        if number > 950:
            parts = history.figures(1800, 75, now_ns / 1e9)["direct"]
            assert {part.requests for part in parts} == {2 * 12}
            assert history.recent(1800, now_ns / 1e9)["direct"].requests == 2 * 900


def test_overview_has_requests_in_the_row_of_their_time(console: Console) -> None:
    console.store.started_ns -= 60 * SECOND  # anything before the start is unknown
    requests(console.store, 1, ago=20)
    [part] = [part for part in console.store.history(60, 75)["direct"] if part.requests]
    row = f'<th scope="row">{time_of_day(part.start + part.seconds)}</th><td class="number">0.5</td>'
    assert row in request(f"{console.url}/?window=1").body.decode()


def test_history_counts_a_clock_that_is_ahead_as_now() -> None:
    store = Store()
    requests(store, 2, ago=-3600)
    wait_until(lambda: store.recent(60)["direct"].requests == 2, 30)


def test_recent_rate_begins_with_the_first_request() -> None:
    store = Store()
    requests(store, 20, ago=20)
    recent = store.recent(60)["direct"]
    assert recent.requests == 20
    assert 2 <= recent.seconds <= 8


def test_history_of_many_modes_stays_bounded() -> None:
    store = Store()
    for number in range(30):
        requests(store, 1, ago=20, mode=f"mode {number}", first=number)
    history = store.history(300, 75)
    assert len(history) == 8
    assert sum(part.requests for parts in history.values() for part in parts) == 30


def test_senders_are_listed_by_instance_with_their_signals() -> None:
    store = Store()
    take(store, "traces", traces(many_ids(1)))
    take(store, "logs", logs(1))
    [sender] = store.senders()
    assert (sender.mode, sender.service, sender.instance) == ("collector", "user-api", "instance-1")
    assert sorted(sender.signals) == ["logs", "traces"]
    assert sender.report is None


def test_sender_keeps_what_it_said_at_its_start() -> None:
    store = Store()
    message = logs(1, logger="telemetry.server", body="Starting user-api server")
    record = message.resource_logs[0].scope_logs[0].log_records[0]
    record.attributes.extend(attributes({"telemetry.traces": "grpc http://alloy:4317"}))
    take(store, "logs", message)
    take(store, "logs", logs(1, logger="telemetry.server", body="something else"))
    [sender] = store.senders()
    assert sender.report == {"telemetry.traces": "grpc http://alloy:4317"}
    assert sender.report_ns == record.time_unix_nano


def test_senders_stay_bounded() -> None:
    store = Store()
    for number in range(300):
        message = logs(1)
        message.resource_logs[0].resource.CopyFrom(resource(instance=f"instance-{number}"))
        take(store, "logs", message)
    assert len(store.senders()) == 256
    assert "instance-0" not in {sender.instance for sender in store.senders()}


def test_sender_with_a_huge_resource_or_report_is_left_out() -> None:
    store = Store()
    message = logs(1)
    message.resource_logs[0].resource.attributes.extend(attributes({"x": "y" * 20_000}))
    take(store, "logs", message)
    assert store.senders() == []
    start = logs(1, logger="telemetry.server", body="Starting", attributes=attributes({"x": "y" * 20_000}))
    take(store, "logs", start)
    assert [sender.report for sender in store.senders()] == [None]
    assert store.mode("collector").log_records == 2


def exported(
    count: int, time_ns: int, start_ns: int = 1, name: str = "exporter.span.exported", reason: str | None = None
) -> Any:
    message = ExportMetricsServiceRequest()
    metric: Any = (
        message.resource_metrics.add(resource=resource()).scope_metrics.add().metrics.add(name=f"otel.sdk.{name}")
    )
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = 2
    metric.sum.data_points.add(
        as_int=count,
        time_unix_nano=time_ns,
        start_time_unix_nano=start_ns,
        attributes=attributes({"error.type": reason} if reason else {}),
    )
    return message


def test_fates_add_up_over_restarts_by_reason() -> None:
    store = Store()
    store.started_ns = 0
    for count, time_ns, start_ns in ((5, 10, 1), (9, 20, 1), (3, 30, 25)):
        take(store, "metrics", exported(count, time_ns, start_ns))
        take(store, "metrics", exported(2, time_ns, start_ns, reason="refused"))
    take(store, "metrics", exported(4, 10, name="processor.span.processed", reason="queue_full"))
    take(store, "metrics", exported(99, 10, name="processor.span.processed"))
    take(store, "metrics", exported(7, 10, name="exporter.log.exported"))
    fates = store.fates()["collector"]
    assert fates.delivered("spans") == 12
    assert fates.lost("spans") == {"refused": 4, "queue_full": 4}
    assert (fates.delivered("log records"), fates.lost("log records")) == (7, {})
    assert fates.delivered("data points") is None
    assert fates.dropped == 8
