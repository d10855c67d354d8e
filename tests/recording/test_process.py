"""What a process does to record: it joins, tries again, notices removed files, and observes its instruments in time."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.metrics import Observation

from telemetry.config import TelemetryConfig
from telemetry.journal import directory
from telemetry.journal.directory import RunDirectory, lock_of_exporter, ring_path
from telemetry.journal.locks import try_take
from telemetry.journal.records import LOG, OBSERVATIONS
from telemetry.project import Project
from telemetry.recording.journal import journal
from telemetry.recording.meters import RecordingMeterProvider
from telemetry.recording.process import Recording
from tests.recording.conftest import Recorded, close_journal
from tests.support.forks import in_child

RUN = "shop", "here", "1"


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """A process that is about to record into a run with an exporter."""
    monkeypatch.setattr(directory, "_MEMORY", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Recording(TelemetryConfig.from_env({"OTEL_SERVICE_NAME": "shop"}), Project("shop"))
    made._run, made._service, made._meters = RUN, {"version": "1"}, RecordingMeterProvider()
    made._meters.get_meter("shop").create_observable_gauge("depth", [lambda _: [Observation(1)]])
    yield made
    made._meters = None  # its part in later forks
    close_journal()


def begin_run(base: Path) -> RunDirectory:
    """Begin the run with an exporter at work: this process holds its lock."""
    run = RunDirectory.join(base, *RUN)
    assert try_take(lock_of_exporter(run.path)) is not None
    return run


def recorded(slot: int = 0) -> list[int]:
    """Return the kinds of the records in the ring of a slot."""
    assert journal.directory
    return [record[0] for record in Recorded(ring_path(journal.directory.path, slot))()]


def test_process_whose_files_are_removed_records_into_new_ones(tmp_path: Path, recording: Recording) -> None:
    former = begin_run(tmp_path)
    recording.join()
    journal.write((LOG, "removed"))
    shutil.rmtree(former.path)
    begin_run(tmp_path)
    recording._next_look = 0
    recording.after_record()
    journal.write((LOG, "new"))
    assert not journal.is_gone
    assert recorded() == [LOG]


def test_failure_to_look_after_the_exporter_costs_no_record(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_run(tmp_path)
    recording.join()
    recording._next_look = 0
    with monkeypatch.context() as patch:
        patch.setattr("telemetry.recording.process.is_held", None)
        recording.after_record()
    journal.write((LOG, "kept"))
    assert recorded() == [LOG]
    assert journal.errors == 1


def test_process_that_cannot_join_tries_again_a_second_later(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(directory, "_MEMORY", tmp_path / "none")
        patch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        for _ in range(3):
            recording.join()
        assert journal.errors == 1
    begin_run(tmp_path)
    recording.join()
    assert journal.ring is None
    recording._next_join -= 1_000_000_000
    recording.join()
    assert journal.ring is not None
    recording._next_join = 0
    recording.join()
    assert recording.slot == 0


def test_instruments_are_observed_once_in_an_interval(tmp_path: Path, recording: Recording) -> None:
    begin_run(tmp_path)
    recording.join()
    for _ in range(3):
        recording.after_answer()
        recording.after_task()
    assert recorded() == [OBSERVATIONS]
    recording._observe_at_the_end(os.getpid() + 1)  # which a forked child inherits
    recording._serves = True
    recording._observe_at_the_end(os.getpid())
    recording._next_observation = 0
    recording.after_task()
    assert recorded() == []
    recording.after_answer()
    recording._serves = False
    recording._observe_at_the_end(os.getpid())
    assert recorded() == [OBSERVATIONS] * 2


@pytest.mark.parametrize("serves", [False, True])
def test_child_joins_the_run_of_a_process_that_serves_no_requests(
    tmp_path: Path, recording: Recording, serves: bool
) -> None:
    """As a worker of a task queue that forks for each task, but not a process that a view forks."""
    begin_run(tmp_path)
    recording.join()
    recording._serves = serves

    def records() -> bool:
        joined = journal.records()
        journal.write((LOG, "of a task"))
        return joined and recording.slot == 1 and recorded(1) == [LOG]

    assert in_child(records) is not serves
    assert recorded() == []
