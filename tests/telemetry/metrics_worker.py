"""A real worker process that counts in a slot, told what to do line by line; and the test's end of it."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation, UpDownCounter
from opentelemetry.sdk.metrics import MeterProvider

from telemetry.shared_metrics import SharedMemoryMetricReader
from telemetry.shared_state import WorkerState

ROOT = Path(__file__).resolve().parents[2]
BOUNDS = (0.1, 1.0)


class MetricsWorker:
    """A worker process; each call of ``tell`` waits until it has done what it was told."""

    def __init__(self, directory: Path, slot: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.telemetry.metrics_worker", str(directory), str(slot)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        assert self.stdout.readline() == b"ready\n"

    def tell(self, *commands: str) -> str:
        """Returns the answer to the last command."""
        answer = ""
        for command in commands:
            self.stdin.write(f"{command}\n".encode())
            self.stdin.flush()
            answer = self.stdout.readline().decode().strip()
            assert answer, f"the worker ended at {command!r}"
        return answer

    def start_counting(self, threads: int) -> None:
        """Count without end; each count is told by a byte after it was made."""
        self.stdin.write(f"count {threads}\n".encode())
        self.stdin.flush()

    def counted(self, least: int) -> int:
        """Wait until so many counts were told; returns their number."""
        return len(self.stdout.read(least))

    def kill(self) -> bytes:
        """SIGKILL; returns all that the process had still told."""
        self.process.send_signal(signal.SIGKILL)
        told = self.stdout.read()
        self.process.wait()
        return told

    def stop(self) -> None:
        self.stdin.close()
        self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.stdin.close()
        self.stdout.close()


class _Commands:
    """What a worker can be told to do."""

    def __init__(self, directory: str, slot: str) -> None:
        self.path = Path(directory, f"slot-{slot}.state")
        self.reader = SharedMemoryMetricReader(WorkerState(directory, int(slot)), 0.05, merges={"depth": "min"})
        meter = MeterProvider([self.reader], shutdown_on_exit=False).get_meter("test")
        self.counter = meter.create_counter("jobs", "{job}", "Jobs done")
        self.histogram = meter.create_histogram("job.duration", "s", "Time", explicit_bucket_boundaries_advisory=BOUNDS)
        self.up_down = meter.create_up_down_counter("active", "{job}", "Jobs in work")
        self.load_gauge = meter.create_gauge("load", "", "A gauge")
        self.depth_gauge = meter.create_gauge("depth", "", "A gauge")
        self.cpu_seconds = 0.0
        meter.create_observable_counter("cpu.time", [self.observe], "s", "CPU time")

    def observe(self, _: CallbackOptions) -> Iterator[Observation]:
        yield Observation(self.cpu_seconds)

    def add(self, number: float) -> None:
        self.counter.add(number)

    def series(self, number: float) -> None:
        for index in range(int(number)):
            self.counter.add(1, {"index": index})

    def record(self, number: float) -> None:
        self.histogram.record(number)

    def active(self, number: float) -> None:
        self.up_down.add(number)

    def load(self, number: float) -> None:
        self.load_gauge.set(number)

    def depth(self, number: float) -> None:
        self.depth_gauge.set(number)

    def cpu(self, number: float) -> None:
        self.cpu_seconds = number
        assert self.reader.refresh(30)

    def count(self, threads: float) -> None:
        for _ in range(int(threads) - 1):
            threading.Thread(target=count, args=(self.counter, self.histogram), daemon=True).start()
        count(self.counter, self.histogram)

    def fill(self, _: float) -> None:
        """Let no file grow beyond what the slot's file has now."""
        size = self.path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    def fork(self, _: float) -> int:
        return fork(self.counter, self.up_down)


def main(directory: str, slot: str) -> None:
    commands = _Commands(directory, slot)
    answer("ready")
    for line in sys.stdin:
        name, *arguments = line.split()
        result = getattr(commands, name)(float(arguments[0]) if arguments else 0.0)
        answer(str(result or "done"))
    commands.reader.shutdown()


def count(counter: Counter, histogram: Histogram) -> None:
    while True:
        counter.add(1)
        histogram.record(0.5)
        os.write(1, b"x")


def fork(counter: Counter, active: UpDownCounter) -> int:
    """A child that counts what must not be kept, and then lives on."""
    done_read, done_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            counter.add(1000)
            counter.add(1000, {"index": "of the child"})
            active.add(1000)
            os.write(done_write, b"1")
            for descriptor in (0, 1):
                os.close(descriptor)
            time.sleep(60)
        finally:
            os._exit(0)
    os.close(done_write)
    assert os.read(done_read, 1)
    return child


def answer(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
