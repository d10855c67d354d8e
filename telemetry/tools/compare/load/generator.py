"""One load: a separate process that sends requests on command, and their results.

Generators, in this package: `closed_loop` (Locust) sends again as soon as it has an answer, which gives the highest
throughput; `open_loop` starts requests at a fixed rate regardless of earlier ones, which gives the latencies that a
user would see; `locust_users` does either with the users of a reader's own Locust file.
"""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any, Literal

from telemetry.tools.compare.load.mix import Request
from telemetry.tools.demo.processes import Child, Processes

_POLL = 0.01
_READY_SECONDS = 30.0
# In addition to the time that a single request may take.
_END_SECONDS = 60.0
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Job:
    """What a generator is to do: `clients` at once, for `seconds`, `rate` per second (open loop only).

    `users` are paths of users that exist; `given` requests replace the service's own mix, as do the tasks of
    `locustfile`. The generator runs `turns` times, each time on command.
    """

    port: int
    users: Sequence[str]
    seconds: float
    clients: int
    rate: float = 0.0
    given: Sequence[Request] = ()
    locustfile: str = ""
    turns: int = 1

    @property
    def requests(self) -> int:
        """How many requests the open loop sends."""
        return max(1, round(self.seconds * self.rate))


@dataclass(frozen=True, slots=True)
class Done:
    """The results of a load.

    `answered` requests got the expected status, `wrong` ones another (by status), `failed` ones none. `latencies` are
    those of answered requests in seconds, in an open loop from their due times; `begins` and `ends` are those of all
    requests since the epoch; `late` is the generator's largest delay in starting a request, in seconds.
    """

    seconds: float
    answered: int
    wrong: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    latencies: Sequence[float] = ()
    begins: Sequence[float] = ()
    ends: Sequence[float] = ()
    late: float = 0.0
    waits: Sequence[float] = ()
    """The latency of each request of an open loop, in the order of `begins`, unanswered ones included."""
    unanswered: Sequence[int] = ()
    """The indices in `begins` of the open loop's requests that got no answer."""

    @property
    def responses(self) -> int:
        """The number of requests that the service has certainly completed."""
        return self.answered + sum(self.wrong.values())

    def ended_after(self, moment: float) -> int:
        """Return how many requests ended after a time since the epoch, unanswered ones included."""
        return sum(end >= moment for end in self.ends)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of at least one value."""
    if len(values) < 2:  # noqa: PLR2004  (quantiles need two)
        return values[0]
    return statistics.quantiles(values, n=_PERCENT, method="inclusive")[percent - 1]


class LoadError(Exception):
    """A generator failed; the message is one line."""


class Load:
    """Starts the generator; `go` and `result` make one turn. `number` makes its files unique in `folder`."""

    def __init__(
        self, processes: Processes, folder: Path, number: int, kind: Literal["closed", "open"], job: Job
    ) -> None:
        self._processes = processes
        self._job = folder / f"load-{number}.json"
        self._job.write_text(json.dumps({name: getattr(job, name) for name in Job.__slots__}))
        self._seconds = job.seconds
        self._turns = job.turns
        self._turn = 0
        module = "locust_users" if job.locustfile else f"{kind}_loop"
        self._child: Child = processes.start(
            f"the {kind} loop",
            f"load-{number}.log",
            ["-m", f"telemetry.tools.compare.load.{module}", str(self._job)],
            {},
        )

    def _file(self, suffix: str) -> Path:
        return self._job.with_suffix(f".{suffix}-{self._turn}")

    def ready(self) -> None:
        """Wait until it has started; raises LoadError."""
        self._wait(self._file("ready").exists, _READY_SECONDS, sleep)

    def go(self) -> None:
        """Start sending as soon as the generator is ready; raises LoadError."""
        self.ready()
        self._file("go").touch()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.code is None

    def result(self, wait: Callable[[float], object] = sleep) -> Done:
        """Wait for the end of a turn with `wait`, which may raise to abort; raises LoadError."""
        written = self._file("done")
        self._wait(written.exists, self._seconds + _END_SECONDS, wait)
        self._turn += 1
        if self._turn == self._turns:
            self._wait(lambda: not self.running, _END_SECONDS, wait)
            self._processes.forget(self._child)
        return Done(**json.loads(written.read_text()))

    def _wait(self, condition: Callable[[], bool], timeout: float, wait: Callable[[float], object]) -> None:
        left = timeout
        while not condition():
            if left <= 0:
                raise LoadError(f"the load generator was not ready or done after {timeout:.0f} s")
            if not self.running and self._child.code != 0:
                raise LoadError(f"the load generator failed: {' | '.join(self._child.last_lines()[-3:])}")
            wait(_POLL)
            left -= _POLL


def serve(job_file: str, run: Callable[[Job], Done]) -> None:
    """Act as a generator: for each turn report that it is ready, wait for `go`, `run`, and write the results."""
    path = Path(job_file)
    given: dict[str, Any] = json.loads(path.read_text())
    job = Job(**{**given, "given": [Request(*one) for one in given["given"]]})
    for turn in range(job.turns):
        path.with_suffix(f".ready-{turn}").touch()
        go = path.with_suffix(f".go-{turn}")
        while not go.exists():
            sleep(_POLL)
        done = run(job)
        written = path.with_suffix(".writing")
        written.write_text(json.dumps({name: getattr(done, name) for name in Done.__slots__}))
        written.rename(path.with_suffix(f".done-{turn}"))
