"""What the configuration makes of the signals' spools."""

from pathlib import Path

import pytest

from telemetry.config import TelemetryConfig
from telemetry.exporting import collector
from telemetry.exporting.outlets import Outlets
from telemetry.exporting.state import State


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
