"""What the configuration makes of the signals' spools, and of the service's resource."""

from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from telemetry.config import TelemetryConfig
from telemetry.config.values import SIGNALS
from telemetry.exporting import collector, direct
from telemetry.exporting.encoding import ScopeData, encode_body
from telemetry.exporting.outlets import Outlets
from telemetry.exporting.resource import build_resource, service_instance_id
from telemetry.exporting.rings import Rings
from telemetry.exporting.state import State
from telemetry.journal import snapshot
from telemetry.privacy import Redactor

GOOD: Any = (("counter", "jobs", "", "", "", "", "", None), [({}, 1, (5, [None]))])


@pytest.mark.parametrize(
    ("environ", "bounds"),
    [
        ({}, [None, None]),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "60"}, [60, None]),
        ({"OTEL_BLRP_MAX_QUEUE_SIZE": "600"}, [None, 600]),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"}, [None, None]),  # the queue's size that follows was not asked for
    ],
    ids=str,
)
def test_items_that_wait_are_bounded_where_the_operator_says_so(
    environ: dict[str, str], bounds: list[int | None], tmp_path: Path
) -> None:
    config = TelemetryConfig.from_env({"TELEMETRY_MODE": "collector", **environ})
    resource = {"service.instance.id": "test"}
    outlets = Outlets(config, collector.ways(config), tmp_path, None, resource, {}, State([tmp_path]))
    assert [outlets.status()[signal]["capacity"] for signal in ("traces", "logs")] == bounds


@pytest.mark.parametrize(
    ("environ", "has_disk", "limit"),
    [
        ({}, True, 512 << 20),
        ({}, False, 16 << 20),
        ({"TELEMETRY_SPOOL_BYTES": "8MiB"}, False, 8 << 20),
        ({"TELEMETRY_SPOOL_DIR": "", "TELEMETRY_SPOOL_BYTES": "64MiB"}, False, 64 << 20),
    ],
)
def test_memory_that_replaces_an_unusable_disk_has_the_limit_of_memory(
    environ: dict[str, str], limit: int, tmp_path: Path, *, has_disk: bool
) -> None:
    environ = {"TELEMETRY_MODE": "collector", "TELEMETRY_SPOOL_DIR": str(tmp_path), **environ}
    config = TelemetryConfig.from_env(environ)
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    resource = {"service.instance.id": "test"}
    outlets = Outlets(
        config, collector.ways(config), memory, disk if has_disk else None, resource, {}, State([tmp_path])
    )
    assert {status["spool"]["limit"] for status in outlets.status().values()} == {limit}


@pytest.mark.parametrize(
    ("environ", "timeouts"),
    [
        ({}, (10, 10, 10)),
        ({"OTEL_BSP_EXPORT_TIMEOUT": "2000"}, (2, 10, 10)),
        ({"OTEL_BLRP_EXPORT_TIMEOUT": "3000", "OTEL_EXPORTER_OTLP_TIMEOUT": "60000"}, (60, 60, 3)),
        ({"OTEL_METRIC_EXPORT_TIMEOUT": "4000", "OTEL_BSP_EXPORT_TIMEOUT": "30000"}, (10, 4, 10)),
        ({"OTEL_METRIC_EXPORT_TIMEOUT": "8000", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}, (10, 5, 10)),
    ],
    ids=str,
)
def test_request_may_take_the_shorter_of_two_timeouts(
    environ: dict[str, str], timeouts: tuple[float, ...], tmp_path: Path
) -> None:
    config = TelemetryConfig.from_env({"TELEMETRY_MODE": "collector", **environ})
    resource = {"service.instance.id": "test"}
    outlets = Outlets(config, collector.ways(config), tmp_path, None, resource, {}, State([tmp_path]))
    assert tuple(outlets._senders[signal]._timeout for signal in SIGNALS) == timeouts


@pytest.mark.parametrize("length", [1, 2000])
def test_service_is_identified_among_any_number_of_attributes(length: int, tmp_path: Path) -> None:
    given = ",".join(f"k{number}={'x' * length}" for number in range(100))
    environ = {"OTEL_RESOURCE_ATTRIBUTES": f"{given},service.name=shop,service.instance.id=a"}
    config = TelemetryConfig.from_env({"TELEMETRY_MODE": "direct", **environ})
    resource = Redactor().resource(build_resource(config, "127.0.0.1:1", 0, "1"))
    assert len(resource) < 100
    assert resource["service.name"] == "shop"
    outlets = Outlets(config, direct.ways(config), tmp_path, None, resource, {}, State([tmp_path]))
    assert outlets.instance == service_instance_id("a", 0)


def outlets_in(folder: Path, mode: Any = collector, **environ: str) -> Outlets:
    config = TelemetryConfig.from_env({"TELEMETRY_MODE": mode.__name__.rpartition(".")[2], **environ})
    return Outlets(config, mode.ways(config), folder, None, {"service.instance.id": "test"}, {}, State([folder]))


def values(outlets: Outlets, name: str) -> dict[Any, float]:
    found = {instrument[1]: series for instrument, series in outlets.aggregation.metrics()}
    return {each.attributes.get("error.type"): each.value for each in found.get(name, ())}


def test_items_that_exceed_a_bound_are_counted_and_their_counts_go_on(tmp_path: Path) -> None:
    outlets = outlets_in(tmp_path, OTEL_BLRP_MAX_QUEUE_SIZE="3", OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="2")
    assert outlets.logs is not None
    for number in range(6):
        outlets.logs.add(ScopeData("test"), encode_body(str(number), 9, "INFO"))
    assert outlets.pending_bytes > 0
    outlets.append()
    outlets.publish()
    assert outlets.pending_bytes == 0
    for _ in range(3):
        status = outlets.status()["logs"]
        assert (status["losses"], status["queue"]) == ({"queue_full": 4}, 2)
        assert values(outlets, "otel.sdk.processor.log.processed") == {"queue_full": 4}
        State([tmp_path]).save(Rings(tmp_path, {}), outlets)
        outlets = outlets_in(tmp_path)


@pytest.mark.parametrize("damage", [[("counter",)], [3], [GOOD, (*GOOD[:1], [({}, 1, (1,))])]])
def test_counts_that_cannot_be_read_begin_anew(
    tmp_path: Path, damage: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    snapshot.write(tmp_path / "snapshot", snapshot.encode({"commit": 1, "generation": 1, "aggregation": damage}))
    outlets = outlets_in(tmp_path, direct)
    assert values(outlets, "jobs") == {}
    assert values(outlets, "telemetry.exporter.starts") == {None: 1}
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "the former exporter's counts cannot be read: counters begin anew"
    ]


def test_metrics_are_pushed_once_per_interval(tmp_path: Path) -> None:
    outlets = outlets_in(tmp_path, OTEL_METRIC_EXPORT_INTERVAL="5000")
    later = monotonic() + 60
    due = [outlets.is_push_due(later + seconds) for seconds in (-60, 0, 0.1, 4.9, 5, 5.1)]
    assert due == [False, True, False, False, True, False]
    assert not outlets_in(tmp_path, direct).is_push_due(later)


@pytest.mark.parametrize(("environ", "seconds"), [({}, 1), ({"OTEL_BSP_SCHEDULE_DELAY": "200"}, 0.2)])
def test_commits_are_as_frequent_as_batches(environ: dict[str, str], seconds: float, tmp_path: Path) -> None:
    assert outlets_in(tmp_path, **environ).commit_seconds == seconds


@pytest.mark.parametrize(("named", "sampled", "kept"), [("always_on", False, True), ("always_off", True, False)])
def test_exemplars_are_those_that_were_asked_for(tmp_path: Path, named: str, *, sampled: bool, kept: bool) -> None:
    outlets = outlets_in(tmp_path, OTEL_METRICS_EXEMPLAR_FILTER=named)
    outlets.aggregation.record(GOOD[0], 1, {}, 1, b"1" * 16, b"2" * 8, sampled)
    series = outlets.aggregation.series(GOOD[0], {})
    assert bool(series.exemplars[0]) is kept


def test_state_is_of_one_moment_of_all_senders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is delivered is either counted or a file, which its sender changes under its lock."""
    outlets = outlets_in(tmp_path)
    senders = outlets._senders.values()
    monkeypatch.setattr(outlets.aggregation, "state", lambda: [sender.lock.locked() for sender in senders])
    assert outlets.state()["aggregation"] == [True, True, True]
    assert not any(sender.lock.locked() for sender in senders)


def test_items_that_are_being_sent_are_observed(tmp_path: Path) -> None:
    outlets = outlets_in(tmp_path)
    outlets._senders["logs"].delivery.begin(3)
    outlets.observe(Rings(tmp_path, {}))
    assert values(outlets, "otel.sdk.exporter.log.inflight") == {None: 3}
    assert values(outlets, "otel.sdk.exporter.span.inflight") == {None: 0}
