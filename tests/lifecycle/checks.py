"""What holds of a service at its end, and of one that has no metrics."""

from pathlib import Path

import psutil

from tests.support.service import wait_until


def assert_nothing_is_left(process: psutil.Process, run: Path) -> None:
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 60, "the exporter's end")
    wait_until(lambda: not run.exists(), 60, "the end of the directory")


def assert_metrics_are_not_found(answer: tuple[int, dict[str, str], bytes]) -> None:
    status, _, body = answer
    assert status == 404
    assert b"TELEMETRY_MODE=direct" in body
