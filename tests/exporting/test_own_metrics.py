"""What the exporter counts of its own work: by the names of the contract, and on through its restarts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from telemetry.exporting.items import scopes
from telemetry.exporting.metrics import exporter_instruments, own_metrics, process_metrics
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.exporter_instruments import ExporterInstruments
from telemetry.exporting.metrics.own_metrics import OwnMetrics
from telemetry.exporting.metrics.views import Views
from telemetry.exporting.rings import Rings
from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import LOG, MEASUREMENT, METHODS
from telemetry.journal.ring import RingWriter
from telemetry.journal.spool import Spool
from tests.support.rings import ring_in

ROOT = Path(__file__).parents[2]
CONTRACT: dict[str, Any] = yaml.load((ROOT / "tests/contract/contract.yaml").read_text(), yaml.CSafeLoader)["metrics"]
# They exist for the operator of this exporter alone.
OURS = {
    "telemetry.exporter.retries",
    "telemetry.exporter.starts",
    "telemetry.journal.dropped",
    "telemetry.recording.errors",
    "telemetry.spool.limit",
    "telemetry.spool.usage",
    "telemetry.worker.starts",
}


def instruments() -> Iterator[tuple[Any, ...]]:
    """Return every instrument of the exporter."""
    senders = [
        ExporterInstruments(lambda *_: None, signal, "grpc", "backend", 1) for signal in ("traces", "metrics", "logs")
    ]
    for module in (exporter_instruments, own_metrics, process_metrics, scopes, *senders):
        for value in vars(module).values():
            yield from found_in(value)


def found_in(value: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        if len(value) == 8 and isinstance(value[1], str) and "." in value[1]:
            yield value
        else:
            for each in value:
                yield from found_in(each)


def test_instruments_are_those_of_the_contract() -> None:
    found = {instrument[1]: instrument for instrument in instruments()}
    assert {"otel.sdk.exporter.span.exported", "process.cpu.time", *OURS} <= found.keys()
    for name, (kind, _, unit, description, *_) in found.items():
        assert description
        if name in CONTRACT:
            expected = CONTRACT[name]
            assert unit == expected["unit"], name
            assert kind.removeprefix("observable_") == expected["type"].replace("up-down-", "updown"), name


def values(aggregation: Aggregation, name: str) -> dict[Any, float]:
    return {
        tuple(series.attributes.values()): series.value
        for instrument, all_series in aggregation.metrics()
        for series in all_series
        if instrument[1] == name
    }


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[RunDirectory]:
    directory = RunDirectory.join(tmp_path, "test", "here", "1")
    yield directory
    directory.leave()


def test_starts_are_counted_through_restarts() -> None:
    state: list[Any] = []
    for start in (1, 2, 3):
        aggregation = Aggregation(Views({}))
        aggregation.restore(state)
        OwnMetrics(aggregation, start)
        assert values(aggregation, "telemetry.exporter.starts") == {(): start}
        state = aggregation.state()


def test_dropped_items_are_there_from_the_first_look() -> None:
    aggregation = Aggregation(Views({}))
    OwnMetrics(aggregation, 1)
    assert values(aggregation, "telemetry.journal.dropped") == {("traces",): 0, ("logs",): 0, ("metrics",): 0}
    assert values(aggregation, "telemetry.recording.errors") == {(): 0}


@pytest.fixture
def writer(joined: RunDirectory) -> Iterator[RingWriter]:
    """A process's ring that has little room."""
    with ring_in(joined) as ring:
        yield ring


def test_what_a_ring_dropped_and_failed_is_counted_once(joined: RunDirectory, writer: RingWriter) -> None:
    for _ in range(100):
        writer.put((LOG, "x" * 100))
    writer.put((MEASUREMENT, "x" * 4000))
    writer.count_error()
    aggregation, rings = Aggregation(Views({})), Rings(joined.path, {})
    own = OwnMetrics(aggregation, 1)
    rings.refresh()
    for _ in range(2):
        own.observe_rings(rings)
    dropped = values(aggregation, "telemetry.journal.dropped")
    assert 50 < dropped["logs",] < 100
    assert dropped["metrics",] == 1
    assert dropped["traces",] == 0
    assert values(aggregation, "telemetry.recording.errors") == {(): 1}
    following, rings = Aggregation(Views({})), Rings(joined.path, rings.state())
    following.restore(aggregation.state())
    rings.refresh()
    own = OwnMetrics(following, 2)
    own.observe_rings(rings)
    writer.count_error()
    own.observe_rings(rings)
    assert values(following, "telemetry.journal.dropped") == dropped
    assert values(following, "telemetry.recording.errors") == {(): 2}


def test_active_requests_are_those_of_the_living_and_go_to_zero(joined: RunDirectory, writer: RingWriter) -> None:
    aggregation, rings = Aggregation(Views({})), Rings(joined.path, {})
    own = OwnMetrics(aggregation, 1)
    rings.refresh()
    own.observe_rings(rings)
    assert values(aggregation, "http.server.active_requests") == {}
    for method in ("GET", "GET", "POST"):
        writer.enter(METHODS[method])
        own.methods.add(method)  # as the translation does with each request that was answered
    own.observe_rings(rings)
    assert values(aggregation, "http.server.active_requests") == {("GET",): 2, ("POST",): 1}
    for method in ("GET", "GET", "POST"):
        writer.leave(METHODS[method])
    following = Aggregation(Views({}))
    following.restore(aggregation.state())
    for found, of_it in ((aggregation, own), (following, OwnMetrics(following, 2))):
        of_it.observe_rings(rings)
        assert values(found, "http.server.active_requests") == {("GET",): 0, ("POST",): 0}


def test_spools_are_observed(tmp_path: Path) -> None:
    aggregation = Aggregation(Views({}))
    own = OwnMetrics(aggregation, 1)
    spools: Any = {
        "traces": Spool(tmp_path, "traces", max_bytes=100_000),
        "metrics": Spool(tmp_path, "metrics", max_bytes=200_000),
        "logs": Spool(tmp_path, "logs", max_bytes=300_000, max_items=50),
    }
    spools["logs"].append(b"x" * 100, 7)
    for spool in spools.values():
        spool.publish()
    own.observe_spools(spools)
    assert values(aggregation, "telemetry.spool.limit") == {
        ("traces",): 100_000,
        ("metrics",): 200_000,
        ("logs",): 300_000,
    }
    assert values(aggregation, "telemetry.spool.usage")["logs",] >= 100
    assert [*values(aggregation, "otel.sdk.processor.log.queue.size").values()] == [7]
    assert [*values(aggregation, "otel.sdk.processor.span.queue.size").values()] == [0]
    assert [*values(aggregation, "otel.sdk.processor.log.queue.capacity").values()] == [50]
    assert values(aggregation, "otel.sdk.processor.span.queue.capacity") == {}
