"""What an exporter says of TELEMETRY_SPOOL_DIR when it starts."""

from pathlib import Path

import pytest

from telemetry.config import TelemetryConfig
from telemetry.exporting.service import _spool_folder
from telemetry.journal.locks import release

RUN = Path("telemetry-1000-0123456789ab") / "run-0"


@pytest.fixture
def config(tmp_path: Path) -> TelemetryConfig:
    return TelemetryConfig.from_env({"TELEMETRY_MODE": "collector", "TELEMETRY_SPOOL_DIR": str(tmp_path)})


def test_folder_that_cannot_be_used_is_logged_once(
    config: TelemetryConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / RUN.parent).symlink_to(tmp_path)
    assert _spool_folder(RUN, config) == (None, [])
    (message,) = caplog.messages
    assert f"{tmp_path / RUN.parent} cannot be used (" in message


def test_folders_that_no_exporter_sends_are_logged_once(
    config: TelemetryConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former = tmp_path / "telemetry-1000-former"
    for number in range(2):
        folder = former / f"run-{number}"
        folder.mkdir(parents=True)
        (folder / "traces-000000000001-1-00000000").write_bytes(b"12345")
    disk, held = _spool_folder(RUN, config)
    release(*held)
    assert disk == tmp_path / RUN
    (message,) = caplog.messages
    assert f" {former / 'run-0'} (5 bytes), {former / 'run-1'} (5 bytes); " in message
