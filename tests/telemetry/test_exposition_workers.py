"""Real worker processes, one scraper: the sums are right whatever happens to the workers."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telemetry.exposition import Exposition
from telemetry.shared_state import WorkerState
from telemetry.state_directory import StateDirectory, create_state_directory
from tests.telemetry.metrics_worker import MetricsWorker
from tests.telemetry.scraped import OPENMETRICS, samples, value


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    state: StateDirectory = create_state_directory(tmp_path)
    yield state.path
    state.close()


@pytest.fixture
def start(directory: Path) -> Iterator[Callable[[int], MetricsWorker]]:
    with contextlib.ExitStack() as stack:
        yield lambda slot: stack.enter_context(MetricsWorker(directory, slot))


@pytest.fixture
def exposition(directory: Path) -> Exposition:
    return Exposition(directory, {"service.name": "test"})


Start = Callable[[int], MetricsWorker]


def test_counts_of_all_workers_add_up(start: Start, exposition: Exposition) -> None:
    for slot in range(2):
        start(slot).tell("add 3", "record 0.05", "record 5")
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", accept=accept) == 6
        assert value(exposition, "job_duration_seconds_count", accept=accept) == 4
        assert value(exposition, "job_duration_seconds_sum", accept=accept) == pytest.approx(10.1)
        assert value(exposition, "job_duration_seconds_bucket", {"le": "0.1"}, accept) == 2
        assert value(exposition, "job_duration_seconds_bucket", {"le": "1.0"}, accept) == 2
        assert value(exposition, "job_duration_seconds_bucket", {"le": "+Inf"}, accept) == 4


def test_counts_of_a_killed_worker_are_kept(start: Start, exposition: Exposition) -> None:
    threads = 3
    worker = start(0)
    worker.start_counting(threads)
    told = worker.counted(5000) + len(worker.kill())
    counted = value(exposition, "jobs_total")
    recorded = value(exposition, "job_duration_seconds_count")
    total = value(exposition, "job_duration_seconds_sum")
    assert counted is not None
    assert recorded is not None
    assert total is not None
    # At most what each thread had in flight.
    assert told <= recorded <= counted <= told + threads
    assert abs(total - recorded * 0.5) <= 0.5 * threads


def test_successor_goes_on_where_a_killed_worker_ended(start: Start, exposition: Exposition) -> None:
    first = start(0)
    first.tell("add 5", "record 0.5", "cpu 7")
    first.kill()
    start(0).tell("add 2", "record 0.5", "cpu 3", "cpu 4")
    assert value(exposition, "jobs_total") == 7
    assert value(exposition, "job_duration_seconds_count") == 2
    assert value(exposition, "cpu_time_seconds_total") == 11


def test_current_values_of_dead_workers_vanish(start: Start, exposition: Exposition) -> None:
    first, second = start(0), start(1)
    first.tell("active 2", "load 9", "depth 1")
    second.tell("active 1", "load 4", "depth 3")
    assert value(exposition, "active") == 3
    assert value(exposition, "load") == 9
    assert value(exposition, "depth") == 1
    first.kill()
    assert value(exposition, "active") == 1
    assert value(exposition, "load") == 4
    assert value(exposition, "depth") == 3
    # Nor do they come back with the slot's next worker, which has not set them.
    successor = start(0)
    assert value(exposition, "active") == 1
    successor.tell("active 1")
    assert value(exposition, "active") == 2
    assert value(exposition, "load") == 4
    successor.kill()
    second.kill()
    assert value(exposition, "active") is None


@pytest.mark.timing
def test_hung_worker_costs_nothing_and_counts(start: Start, exposition: Exposition) -> None:
    worker = start(0)
    worker.tell("add 5", "active 1")
    worker.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert value(exposition, "jobs_total") == 5
    assert value(exposition, "active") == 1
    assert time.monotonic() - began < 10


class Scraper(threading.Thread):
    """Scrapes without a pause and notes each counter that goes back and each answer that is not valid."""

    def __init__(self, exposition: Exposition, accept: str, stop: threading.Event) -> None:
        super().__init__()
        self.exposition, self.accept, self.stop = exposition, accept, stop
        self.last: dict[tuple[str, str | None], float] = {}
        self.failures: list[str] = []
        self.scrapes = 0

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.scrape()
        except Exception as error:  # noqa: BLE001 - a thread's failure must be the test's
            self.failures.append(repr(error))

    def scrape(self) -> None:
        for sample in samples(self.exposition, self.accept):
            if sample.name.endswith(("_total", "_sum", "_count", "_bucket")):
                identity = sample.name, sample.labels.get("le")
                if sample.value < self.last.get(identity, 0.0):
                    self.failures.append(f"{identity}: {self.last[identity]} and then {sample.value}")
                self.last[identity] = sample.value
        self.scrapes += 1


def test_counters_never_go_back_while_workers_come_and_go(start: Start, exposition: Exposition) -> None:
    stop = threading.Event()
    scrapers = [Scraper(exposition, accept, stop) for accept in ("", OPENMETRICS, "", OPENMETRICS)]
    for scraper in scrapers:
        scraper.start()
    told = 0
    try:
        for generation in range(3):
            workers = [start(slot) for slot in range(generation + 1)]
            for worker in workers:
                worker.start_counting(2)
            told += sum(worker.counted(5000) + len(worker.kill()) for worker in workers)
    finally:
        stop.set()
        for scraper in scrapers:
            scraper.join()
    assert [failure for scraper in scrapers for failure in scraper.failures] == []
    assert sum(scraper.scrapes for scraper in scrapers) > 20
    counted = value(exposition, "jobs_total")
    assert counted is not None
    assert told <= counted <= told + 2 * (1 + 2 + 3)


def test_forked_child_of_a_worker_does_not_count(start: Start, directory: Path, exposition: Exposition) -> None:
    worker = start(0)
    worker.tell("add 1", "active 1")
    child = int(worker.tell("fork"))
    try:
        assert value(exposition, "jobs_total") == 1
        assert value(exposition, "active") == 1
        worker.kill()
        # The child lives, but it does not stand for the worker.
        assert value(exposition, "active") is None
        WorkerState(directory, 0, timeout=1).close()
    finally:
        os.kill(child, signal.SIGKILL)


def test_full_file_system_refuses_new_series_and_goes_on_counting(start: Start, exposition: Exposition) -> None:
    worker = start(0)
    worker.tell("add 1", "record 0.5", "cpu 1", "fill", "series 2000", "add 1", "record 0.5")
    assert value(exposition, "jobs_total", {"index": "0"}) == 1
    assert value(exposition, "jobs_total", {"index": "1999"}) is None
    shown = [sample for sample in samples(exposition) if sample.name == "jobs_total" and "index" in sample.labels]
    refused = value(exposition, "telemetry_series_refused_total", {"reason": "space"})
    assert refused
    assert len(shown) + refused == 2000
    assert value(exposition, "job_duration_seconds_count") == 2
    plain = [sample.value for sample in samples(exposition) if sample.name == "jobs_total" and len(sample.labels) == 1]
    assert plain == [2]
    worker.kill()
    start(0).tell("series 2000")
    assert value(exposition, "jobs_total", {"index": "0"}) == 2
    assert value(exposition, "jobs_total", {"index": "1999"}) == 1
