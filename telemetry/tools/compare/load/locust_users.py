"""`python -m telemetry.tools.compare.load.locust_users JOB`: the users of a reader's own Locust file.

Closed loop: a user begins its next task when the one before has ended. Open loop: tasks are due at fixed times, as many
as make the job's rate of requests, and whichever user is free takes the next one; the latency of a task's first request
counts from the moment it was due (see telemetry.tools.compare.load.open_loop). The file's wait times are ignored.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import urljoin

import gevent
from gevent.local import local
from gevent.pool import Group
from locust import User, events
from locust.env import Environment
from locust.event import EventHook
from locust.util.load_locustfile import load_locustfile

from telemetry.tools.compare.load.generator import Done, Job, serve

_TASK_SECONDS = 30.0
_MILLISECONDS = 1000


class LocustFileError(Exception):
    """A Locust file that cannot be used; one line."""


def users_of(path: str) -> list[type[User]]:
    """Return the eligible user classes of a Locust file; raises LocustFileError."""
    try:
        found, _ = load_locustfile(path)
    except Exception as error:  # noqa: BLE001  (it is the reader's code)
        raise LocustFileError(f"--requests {path} cannot be loaded: {type(error).__name__}: {error}") from None
    users = [user for user in found.values() if user.weight > 0]
    if not users:
        raise LocustFileError(
            f"--requests {path} has no user class; expected a class of locust.HttpUser or FastHttpUser"
        )
    return users


def chosen(users: Sequence[type[User]], number: int) -> Iterator[type[User]]:
    """Yield `number` of the classes in the proportion of their weights, evenly mixed."""
    credit = dict.fromkeys(users, 0.0)
    for _ in range(number):
        for user in users:
            credit[user] += user.weight
        most = max(users, key=credit.__getitem__)
        credit[most] -= sum(user.weight for user in users)
        yield most


class _Schedule:
    """When tasks are due: at once in a closed loop, else as often as makes `rate` requests per second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = time()
        self._task = local()

    def begin(self) -> float:
        """Return when the first task of a user is due, in seconds since the epoch."""
        due = self._next
        if self._rate:
            self._next += 1 / self._rate
        return due

    def wait(self) -> float:
        """Return how many seconds a user waits for its next task.

        A task that sent more than one request takes the slots of the next tasks.
        """
        if not self._rate:
            return 0.0
        self._next += max(0, getattr(self._task, "sent", 0) - 1) / self._rate
        due = self._task.due = self.begin()
        self._task.sent = 0
        return max(0.0, due - time())

    def sent(self, requests: int, begin: float) -> float:
        """Count requests of the current task, and return by how many seconds the first of them began too late."""
        self._task.sent = getattr(self._task, "sent", 0) + requests
        due, self._task.due = getattr(self._task, "due", None), None
        return max(0.0, begin - due) if due else 0.0


class _Tally:
    """The requests of all users to `host`, and their results."""

    def __init__(self, host: str, schedule: _Schedule) -> None:
        self._host = host
        self._schedule = schedule
        self.answered = self.failed = 0
        self.wrong: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.begins: list[float] = []
        self.ends: list[float] = []
        self.waits: list[float] = []
        self.unanswered: list[int] = []
        self.late = 0.0

    def note(
        self, *, response_time: float, response: Any, exception: object, start_time: float, url: str, **_more: object
    ) -> None:
        """Count a request (an event of Locust's) and the redirects on its way, but nothing of another host."""
        if not url.startswith(self._host):
            return
        seconds = response_time / _MILLISECONDS
        status = getattr(response, "status_code", 0)
        redirects, ends_here = self._redirects(url, getattr(response, "history", ()))
        late = self._schedule.sent(redirects + ends_here, start_time)
        for _ in range(redirects):
            self.answered += 1
            self._add(start_time, seconds, late)
        if not ends_here:
            return
        if not status:
            self.failed += 1
            self.unanswered.append(len(self.begins))
        elif exception is None:
            self.answered += 1
            self.latencies.append(late + seconds)
        else:
            self.wrong[str(status)] += 1
        self._add(start_time, seconds, late)

    def _redirects(self, url: str, history: Iterable[Any]) -> tuple[int, bool]:
        """Return how many redirects of the service there were on the way from `url`, and whether it ended there."""
        places = accumulate(history, lambda place, each: urljoin(place, each.headers["location"]), initial=url)
        *passed, last = (place.startswith(self._host) for place in places)
        return sum(passed), last

    def _add(self, begin: float, seconds: float, late: float) -> None:
        self.begins.append(begin)
        self.ends.append(begin + seconds)
        self.waits.append(late + seconds)
        self.late = max(self.late, late)


@cache
def _environment(locustfile: str) -> Environment:
    """Return Locust's environment for a file, with its init listeners called; one for all turns."""
    environment = Environment(user_classes=users_of(locustfile), events=events)
    runner = environment.create_local_runner()
    _fire(events.init, environment=environment, runner=runner, web_ui=None)
    return environment


def run(job: Job) -> Done:
    """Run the tasks of `clients` users until the deadline, and let the current ones end."""
    host = f"http://127.0.0.1:{job.port}"
    schedule = _Schedule(job.rate)
    tally = _Tally(host, schedule)
    environment = _environment(job.locustfile)
    environment.host = host
    # A dictionary for each class: Locust's metaclass adds the tasks of the class to it.
    users = {
        user: type(user.__name__, (user,), {"host": host, "wait_time": lambda _: schedule.wait()})
        for user in environment.user_classes
    }
    events.request.add_listener(tally.note)  # type: ignore[no-untyped-call]
    _fire(events.test_start, environment=environment)
    group = Group()
    began = time()
    running = []
    for user in chosen(environment.user_classes, job.clients):
        due = schedule.begin()
        if due >= began + job.seconds:
            break
        gevent.sleep(max(0.0, due - time()))
        running.append(users[user](environment))
        running[-1].start(group)
    group.join(timeout=max(0.0, began + job.seconds - time()))
    for one in running:
        if not one.greenlet.dead:
            one.stop()
    group.join(timeout=_TASK_SECONDS)
    seconds = time() - began
    if group:
        raise LocustFileError(f"--requests {job.locustfile}: a task did not end within {_TASK_SECONDS:.0f} s")
    _fire(events.test_stop, environment=environment)
    events.request.remove_listener(tally.note)  # type: ignore[no-untyped-call]
    if not tally.begins:
        raise LocustFileError(f"--requests {job.locustfile} sent no request to {host}")
    return Done(
        seconds=seconds,
        answered=tally.answered,
        wrong=dict(tally.wrong),
        failed=tally.failed,
        latencies=tally.latencies,
        begins=tally.begins,
        ends=tally.ends,
        late=tally.late,
        waits=tally.waits if job.rate else (),
        unanswered=tally.unanswered,
    )


def _fire(hook: EventHook, **known: object) -> None:
    """Call the listeners that the file has added."""
    hook.fire(**known)  # type: ignore[no-untyped-call]


def main() -> int:
    """Run a job, or only check that a Locust file can be used; return the exit code."""
    (path,) = sys.argv[1:]
    try:
        if Path(path).suffix == ".py":
            users_of(path)
        else:
            serve(path, run)
    except LocustFileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
