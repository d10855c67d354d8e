"""What a report draws around a fault."""

from dataclasses import replace

from telemetry.tools.compare.counts.ledger import Stored
from telemetry.tools.compare.load.generator import Done
from telemetry.tools.compare.scenarios.timeline import Sample, latencies, timeline

DONE = Done(
    seconds=3.0,
    answered=4,
    begins=[100.0, 101.0, 101.5, 102.2],
    ends=[100.5, 101.1, 103.5, 102.3],
    waits=[0.5, 0.1, 2.0, 0.1],
)


def test_sent_is_what_had_been_answered_when_the_backend_was_looked_at() -> None:
    samples = [
        Sample(99.0, Stored(2, 2)),
        Sample(101.2, Stored(3, 2)),
        Sample(101.3, Stored(4)),
        Sample(104.0, Stored(6)),
    ]
    rows = timeline(DONE, 2, samples, frozenset({"spans"}))
    # The third comes too soon after the second.
    assert rows == [
        {"at": -1.0, "sent": 2, "spans": 2},
        {"at": 1.2, "sent": 4, "spans": 3},
        {"at": 4.0, "sent": 6, "spans": 6},
    ]


def test_request_without_an_answer_was_not_sent_for_good() -> None:
    (row,) = timeline(replace(DONE, unanswered=[3]), 0, [Sample(104.0, Stored(3))], frozenset({"spans"}))
    assert row == {"at": 4.0, "sent": 3, "spans": 3}


def test_latency_is_that_of_the_second_in_which_a_request_was_sent() -> None:
    assert latencies(DONE) == [
        {"at": 0.0, "median": 0.5, "most": 0.5},
        {"at": 1.0, "median": 1.05, "most": 2.0},
        {"at": 2.0, "median": 0.1, "most": 0.1},
    ]


def test_load_that_sent_nothing_has_no_rows() -> None:
    nothing = Done(seconds=0.0, answered=0)
    assert timeline(nothing, 0, [Sample(1.0, Stored())], frozenset({"spans"})) == latencies(nothing) == []
