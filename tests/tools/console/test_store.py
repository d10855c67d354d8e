"""The store: bounded, with totals that eviction does not change."""

import random
import sys
import threading
from typing import Any

import pytest

from telemetry.tools.console.asking.search import Query, parse
from telemetry.tools.console.receiving.ingest import SIGNALS, Rejection
from telemetry.tools.console.storage.retention import Limits, SignalLimits
from telemetry.tools.console.storage.store import Store
from tests.tools.console.client import DELTA, TRACE_ID, logs, many_ids, one_span, requests_total, summaries, traces

SECOND = 10**9


def take(store: Store, signal: str, message: Any) -> Rejection:
    return SIGNALS[signal].ingest(store, message.SerializeToString(), 0)


def test_spans_beyond_the_number_evict_the_oldest() -> None:
    store = Store(Limits(spans=SignalLimits(10, 1 << 30)))
    take(store, "traces", traces(many_ids(25)))
    retained = store.retained()["spans"]
    assert (retained.records, retained.evicted, retained.limit_records) == (10, 15, 10)
    assert [span.span_id for span in store.spans()] == [span_id for _, span_id in many_ids(25)[15:]]
    assert len(summaries(store)) == 10
    assert store.trace(many_ids(1)[0][0]) == []
    assert store.mode("collector").spans == store.mode("collector").server_spans == 25


@pytest.mark.parametrize(
    ("signal", "name", "message"),
    [
        ("traces", "spans", traces(many_ids(500), name="x" * 300)),
        ("logs", "log_records", logs(500, body="x" * 300, trace_id=bytes.fromhex(TRACE_ID))),
    ],
)
def test_records_beyond_the_bytes_evict_the_oldest(signal: str, name: str, message: Any) -> None:
    limit = SignalLimits(1_000_000, 100_000)
    store = Store(Limits(spans=limit, logs=limit, points=limit))
    take(store, signal, message)
    retained = store.retained()[name]
    assert 0 < retained.records < 500
    assert retained.bytes <= 100_000
    assert retained.records + retained.evicted == 500
    totals = store.mode("collector")
    assert totals.spans + totals.log_records == 500


def test_points_evict_the_oldest_and_empty_series() -> None:
    store = Store(Limits(points=SignalLimits(3, 1 << 30)))
    for number in range(5):
        take(store, "metrics", requests_total(1, time_ns=number, route=f"/{number}"))
    assert [series.attributes["http.route"] for series, _ in store.series("http.server.request.duration")] == [
        "/2",
        "/3",
        "/4",
    ]
    assert store.metrics()[0].series == 3
    assert store.mode("collector").data_points == 5


def test_evicted_series_leave_no_bytes_behind() -> None:
    store = Store(Limits(points=SignalLimits(1, 1 << 30)))
    for number in range(50):
        take(store, "metrics", requests_total(1, time_ns=number, route=f"/{number}"))
    assert store.retained()["points"].bytes < 4500


def test_record_larger_than_the_limit_is_not_kept() -> None:
    tiny = SignalLimits(10, 1)
    store = Store(Limits(spans=tiny, logs=tiny, points=tiny))
    take(store, "traces", one_span())
    take(store, "logs", logs(1, trace_id=bytes.fromhex(TRACE_ID)))
    take(store, "metrics", requests_total(1, time_ns=1))
    assert [(retained.records, retained.bytes, retained.evicted) for retained in store.retained().values()] == [
        (0, 0, 1)
    ] * 3
    assert (summaries(store), store.logs(), store.metrics()) == ([], [], [])


def test_log_records_of_an_evicted_trace_are_gone() -> None:
    store = Store(Limits(logs=SignalLimits(2, 1 << 30)))
    take(store, "logs", logs(2, trace_id=bytes.fromhex(TRACE_ID)))
    take(store, "logs", logs(1))
    assert len(store.logs(trace_id=TRACE_ID)) == 1
    take(store, "logs", logs(1))
    assert store.logs(trace_id=TRACE_ID) == []


def test_span_that_arrives_twice_is_a_duplicate() -> None:
    store = Store()
    take(store, "traces", one_span())
    take(store, "traces", one_span())
    totals = store.mode("collector")
    assert (totals.spans, totals.server_spans, totals.duplicate_spans) == (1, 1, 1)
    assert len(store.trace(TRACE_ID)) == 1


def test_same_span_id_in_another_trace_is_no_duplicate() -> None:
    store = Store()
    take(store, "traces", traces([(TRACE_ID, "01" * 8), ("12" * 16, "01" * 8)]))
    assert (store.mode("collector").spans, store.mode("collector").duplicate_spans) == (2, 0)


def test_totals_are_kept_by_mode_and_service() -> None:
    store = Store()
    take(store, "traces", traces(many_ids(3), mode="collector", service="a"))
    take(store, "traces", traces([("12" * 16, "01" * 8)], mode="direct", service="b"))
    take(store, "traces", traces([("13" * 16, "01" * 8)], mode="direct", service="b", kind=3))
    take(store, "logs", logs(2, mode="direct"))
    take(store, "logs", logs(4, logger="django.request", mode="direct"))
    totals = store.totals()
    assert sorted(totals) == ["collector", "direct"]
    assert totals["collector"].server_spans_by_service == {"a": 3}
    assert (totals["direct"].spans, totals["direct"].server_spans_by_service) == (2, {"b": 1})
    assert (totals["direct"].log_records, totals["direct"].access_records) == (6, 2)


def test_name_of_a_span_is_not_interned() -> None:
    # Python 3.12 keeps interned texts for ever.
    store = Store()
    take(store, "traces", one_span(name="GET /not-interned"))
    [span] = store.stored_trace(TRACE_ID)
    assert sys.intern("GET /not-interned") is not span.name


def test_record_without_a_mode_is_of_mode_unknown() -> None:
    store = Store()
    message = one_span()
    message.resource_spans[0].ClearField("resource")
    take(store, "traces", message)
    assert store.mode("unknown").spans == 1


def test_totals_of_many_modes_stay_bounded() -> None:
    store = Store()
    for number in range(200):
        take(store, "traces", traces([(f"{number + 1:032x}", "01" * 8)], mode=f"mode {number}"))
    totals = store.totals()
    assert len(totals) <= 66
    assert sum(mode.spans for mode in totals.values()) == 200


def requests_after(*messages: Any) -> int:
    store = Store()
    store.started_ns = 0
    for message in messages:
        take(store, "metrics", message)
    return store.mode("collector").requests


def test_requests_are_the_latest_count_of_a_series() -> None:
    assert requests_after(requests_total(3, time_ns=10), requests_total(8, time_ns=20)) == 8


def test_requests_of_a_late_point_add_nothing() -> None:
    assert requests_after(requests_total(8, time_ns=20), requests_total(3, time_ns=10)) == 8


def test_requests_of_a_repeated_point_add_nothing() -> None:
    assert requests_after(requests_total(8, time_ns=20), requests_total(8, time_ns=20)) == 8


def test_requests_of_series_and_instances_add_up() -> None:
    assert (
        requests_after(
            requests_total(3, time_ns=10),
            requests_total(4, time_ns=10, instance="instance-2"),
            requests_total(5, time_ns=10, route="/other"),
        )
        == 12
    )


@pytest.mark.parametrize("start_ns", [0, 1])
def test_point_without_a_recorded_value_is_no_value(start_ns: int) -> None:
    store = Store()
    store.started_ns = 5
    ended = requests_total(0, time_ns=20, start_ns=start_ns)
    ended.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0].flags = 1
    for message in (ended, requests_total(8, time_ns=10, start_ns=start_ns), ended):
        take(store, "metrics", message)
    take(store, "metrics", requests_total(9, time_ns=30, start_ns=start_ns))
    totals = store.mode("collector")
    assert (totals.data_points, totals.requests) == (4, 1 if start_ns else 9)
    [(_, points)] = store.series("http.server.request.duration")
    assert [point.time_ns for point in points] == [10, 30]


def test_requests_of_a_new_start_time_add_up() -> None:
    # A worker took its predecessor's slot over: same instance, later start, lower count; then the old one's last word.
    assert (
        requests_after(
            requests_total(30, time_ns=10, start_ns=1),
            requests_total(4, time_ns=20, start_ns=15),
            requests_total(33, time_ns=14, start_ns=1),
            requests_total(6, time_ns=30, start_ns=15),
        )
        == 39
    )


def test_requests_without_start_time_that_go_back_begin_again() -> None:
    assert (
        requests_after(
            requests_total(30, time_ns=10, start_ns=0),
            requests_total(4, time_ns=20, start_ns=0),
            requests_total(6, time_ns=30, start_ns=0),
        )
        == 36
    )


def test_requests_of_delta_points_add_up() -> None:
    assert (
        requests_after(
            requests_total(3, time_ns=10, temporality=DELTA), requests_total(4, time_ns=20, temporality=DELTA)
        )
        == 7
    )


def test_requests_survive_the_eviction_of_their_points() -> None:
    store = Store(Limits(points=SignalLimits(1, 1 << 30)))
    for number in range(1, 6):
        take(store, "metrics", requests_total(number, time_ns=number, route="/a"))
        take(store, "metrics", requests_total(number, time_ns=number, route="/b"))
    assert store.mode("collector").requests == 10


def test_summary_of_a_trace_names_its_root() -> None:
    store = Store()
    child = traces([(TRACE_ID, "02" * 8)], name="SELECT", kind=3, start_time_unix_nano=2 * SECOND)
    child.resource_spans[0].scope_spans[0].spans[0].parent_span_id = bytes.fromhex("01" * 8)
    child.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = 4 * SECOND
    take(store, "traces", child)
    assert summaries(store)[0].root_name == "SELECT"
    # The root's own parent, in the client that sent `traceparent`, never arrives.
    root = traces([(TRACE_ID, "01" * 8)], name="GET", start_time_unix_nano=SECOND, end_time_unix_nano=3 * SECOND)
    root.resource_spans[0].scope_spans[0].spans[0].parent_span_id = bytes.fromhex("09" * 8)
    take(store, "traces", root)
    [summary] = summaries(store)
    assert (summary.root_name, summary.start_ns, summary.duration_ns, summary.spans) == ("GET", SECOND, 3 * SECOND, 2)
    assert summary.status == "ok"


def test_trace_whose_first_span_is_evicted_has_the_time_of_what_is_left() -> None:
    store = Store(Limits(spans=SignalLimits(2, 1 << 30)))
    for number, (start, end) in enumerate([(1, 9), (3, 4), (2, 6)]):
        ids = [(many_ids(2)[number // 2][0], f"{number + 1:016x}")]
        take(store, "traces", traces(ids, start_time_unix_nano=start * SECOND, end_time_unix_nano=end * SECOND))
    latest, shortened = store.stored_traces()
    assert (latest.start_ns, latest.duration_ns) == (2 * SECOND, 4 * SECOND)
    assert (shortened.start_ns, shortened.duration_ns) == (3 * SECOND, SECOND)
    every = [trace.spans() for trace in (latest, shortened)]
    assert Query().find_traces(store.stored_traces(), 9, sort="duration") == every
    assert Query().find_traces(store.stored_traces(), 9, sort="start") == every[::-1]
    # A reader that came before an eviction finds what is left after it.
    take(store, "traces", traces([("12" * 16, "01" * 8)]))
    assert shortened.spans() == []
    assert Query(parse("status=5xx")).find_traces([latest, shortened], 9) == []
    assert Query(parse("status!=5xx")).find_traces([latest, shortened], 9) == every[:1]


def test_series_begins_with_the_last_point_before_a_time() -> None:
    store = Store()
    for number in range(1, 6):
        take(store, "metrics", requests_total(number, time_ns=number * SECOND))

    def times(**wanted: Any) -> list[int]:
        [(_, points)] = store.series("http.server.request.duration", **wanted)
        return [point.time_ns // SECOND for point in points]

    assert times() == [1, 2, 3, 4, 5]
    assert times(points=2) == [4, 5]
    kept = [series for series, _ in store.series("http.server.request.duration")]
    for edges, expected in (([3.5, 3.6], [3, 4, 5]), ([2], [2, 3, 5]), ([0], [1, 5]), ([9], [5])):
        [(_, points)] = store.around(kept, [int(edge * SECOND) for edge in edges])
        assert [point.time_ns // SECOND for point in points] == expected


def test_search_that_remembers_finds_the_same() -> None:
    store = Store(Limits(spans=SignalLimits(60, 1 << 20)))
    queries = [
        Query(parse(text)) for text in ("name=a", "name=b status=ok", "name!=a", "status=error", "duration<2ms", "a !b")
    ]
    drawn = random.Random(14)  # noqa: S311 (what is drawn is no secret)
    for _ in range(150):
        message = one_span(name=drawn.choice("abcdef"))
        [span] = message.resource_spans[0].scope_spans[0].spans
        span.trace_id, span.span_id = drawn.randbytes(1) * 16, drawn.randbytes(8)
        span.parent_span_id = drawn.choice((b"", b"parent.."))
        span.end_time_unix_nano = span.start_time_unix_nano + drawn.randrange(4_000_000)
        span.status.code = drawn.choice((0, 0, 2))
        take(store, "traces", message)
        for query in drawn.sample(queries, 3):
            limit, skip = drawn.choice(((50, 0), (50, 2), (3, 0)))
            assert query.find_traces_of(store, limit, skip=skip) == query.find_traces(
                store.stored_traces(), limit, skip=skip
            )
    assert store.retained()["spans"].evicted
    assert store.unmatched.keys() == {query.terms for query in queries}
    assert all(query.find_traces(store.stored_traces(), 50) for query in queries[:-1])


def test_traces_are_listed_latest_first_and_filtered() -> None:
    store = Store()
    take(store, "traces", traces(many_ids(3), mode="collector", service="a"))
    take(store, "traces", traces([("12" * 16, "01" * 8)], mode="direct", service="b"))
    assert [trace.trace_id for trace in summaries(store, limit=2)] == ["12" * 16, many_ids(3)[2][0]]
    assert len(summaries(store, mode="collector")) == 3
    assert [trace.service for trace in summaries(store, mode="direct")] == ["b"]


def test_store_takes_records_from_many_threads() -> None:
    store = Store(Limits(spans=SignalLimits(100, 1 << 30)))

    def fill(number: int) -> None:
        for batch in range(20):
            ids = [(f"{number:08x}{batch:08x}{index:016x}", f"{index + 1:016x}") for index in range(1, 11)]
            take(store, "traces", traces(ids))
            summaries(store, limit=10)
            store.spans()

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.mode("collector").spans == 800
    retained = store.retained()["spans"]
    assert (retained.records, retained.evicted) == (100, 700)
    assert sum(trace.spans for trace in summaries(store)) == 100


def test_wait_for_returns_when_the_records_arrive() -> None:
    store = Store()
    timer = threading.Timer(0.1, take, (store, "logs", logs(2)))
    timer.start()
    assert store.wait_for(lambda now: now.mode("collector").log_records == 2, 5)
    timer.join()
    assert not store.wait_for(lambda now: now.mode("collector").log_records == 3, 0.01)


@pytest.mark.parametrize("name", ["records", "bytes"])
def test_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"SignalLimits.{name} is 0; expected an integer from 1"):
        SignalLimits(**{"records": 1, "bytes": 1, name: 0})
