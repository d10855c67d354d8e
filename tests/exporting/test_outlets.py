"""What the configuration makes of the signals' spools, and of the service's resource."""

from pathlib import Path

import pytest

from telemetry.config import TelemetryConfig
from telemetry.config.values import SIGNALS
from telemetry.exporting import collector, direct
from telemetry.exporting.outlets import Outlets
from telemetry.exporting.resource import build_resource, service_instance_id
from telemetry.exporting.state import State
from telemetry.privacy import Redactor


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
