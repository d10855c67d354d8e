"""What the service's visitors do: a small mix of valid and invalid requests, at a steady rate; it tidies up."""

import itertools
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Generator
from time import monotonic
from typing import Any, NamedTuple

from telemetry.tools.traffic.client import Answer, CountingClient

# The user that the printed curl command creates, which must work in the next run, too.
EXAMPLE = {"name": "Test User", "email": "test@example.com"}
# Users that a killed run left behind are found by this domain.
_DOMAIN = "traffic.example.org"
_NAMES = (
    "Ada Lovelace", "Alan Turing", "Barbara Liskov", "Claude Shannon", "Dennis Ritchie", "Donald Knuth",
    "Edsger Dijkstra", "Frances Allen", "Grace Hopper", "Hedy Lamarr", "Jean Bartik", "John McCarthy",
    "Karen Spärck Jones", "Katherine Johnson", "Kathleen Booth", "Ken Thompson", "Margaret Hamilton", "Niklaus Wirth",
    "Radia Perlman", "Tony Hoare",
)  # fmt: skip
_GREETING = "/greeting"
_OK, _CREATED, _ACCEPTED = 200, 201, 202
_SERVER_ERROR = 500

FAILING_PATH = "/demo/failure"
"""The route that only the demo has (`telemetry.tools.demo.urls`), which fails on purpose."""
_FAILURE_EVERY = 100
"""Requests from one failing request to the next."""
_FIRST_FAILURE = 20
"""Requests before the first failing one, which comes within the first seconds."""


class Step(NamedTuple):
    """One request of a story."""

    method: str
    path: str
    body: Any = None


def story(name: str, other: str, address: str, *, greetings: bool = False) -> Generator[Step, Answer, None]:
    """Yield one visitor's requests: two users are created, read, changed and deleted; some requests are invalid.

    `address` is the unique first part of an email address. With `greetings`, one user is greeted at once, and once more
    by the worker.
    """
    email = f"{address}@{_DOMAIN}"
    first = yield Step("POST", "/users", {"name": name, "email": email})
    user = _path(first)
    yield Step("GET", user)
    if greetings:
        yield Step("GET", user + _GREETING)
        yield Step("POST", user + _GREETING)
    yield Step("GET", "/users?page_size=10")
    yield Step("POST", "/users", {"name": "", "email": "not an address"})
    yield Step("GET", f"/users?search={name.partition(' ')[0]}")
    yield Step("PATCH", user, {"name": f"{name} (changed)"})
    yield Step("POST", "/users", {"name": other, "email": email.upper()})
    second = yield Step("POST", "/users", {"name": other, "email": f"{address}.2@{_DOMAIN}"})
    yield Step("GET", "/users?ordering=name&page_size=5")
    yield Step("GET", f"/users/{uuid.uuid4()}")
    yield Step("PUT", user, {"name": name, "email": email})
    yield Step("GET", _path(second))
    yield Step("DELETE", _path(second))
    yield Step("GET", "/users?ordering=-created_at")
    yield Step("DELETE", user)
    yield Step("GET", user)


class Sender(ABC):
    """Something that sends requests in a thread of its own until it is done or stopped."""

    def __init__(self, client: CountingClient, name: str) -> None:
        self._client = client
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @abstractmethod
    def _work(self) -> None:
        """What the thread does."""

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self) -> None:
        """Send only what it takes to tidy up; returns at once."""
        self._stopping.set()

    @property
    def running(self) -> bool:
        """Whether it still sends."""
        return self._thread.is_alive()


class Traffic(Sender):
    """Stories one after the other, at `rate` requests per second; deletes the remaining users at the end.

    With `failures`, one request in a hundred goes to the demo's route that fails; with `greetings` users are greeted.
    """

    def __init__(
        self, client: CountingClient, name: str, rate: float, *, failures: bool = False, greetings: bool = False
    ) -> None:
        super().__init__(client, f"traffic-{name}")
        self._greetings = greetings
        self._run = f"{name}.{uuid.uuid4().hex[:8]}"
        self._interval = 1 / rate
        self._failures = failures
        self._created: set[str] = set()

    def _work(self) -> None:
        due = monotonic()
        steps = self._steps()
        step = next(steps)
        while not self._stopping.wait(max(0.0, due - monotonic())):
            # A slow service must not receive all overdue requests at once.
            due = max(due + self._interval, monotonic())
            step = steps.send(self._take(step))
        self._tidy_up()

    def _steps(self) -> Generator[Step, Answer, None]:
        """Yield the requests of one story after the other, with failing ones in between."""
        sent = 0
        for number in itertools.count():
            name, other = _NAMES[number % len(_NAMES)], _NAMES[(number + 7) % len(_NAMES)]
            steps = story(name, other, f"{self._run}.{number}", greetings=self._greetings)
            step: Step | None = next(steps)
            while step:
                if self._failures and sent % _FAILURE_EVERY == _FIRST_FAILURE:
                    yield Step("GET", FAILING_PATH)
                    sent += 1
                answer = yield step
                sent += 1
                step = _next_step(steps, answer)

    def _take(self, step: Step) -> Answer:
        if step.path == FAILING_PATH:
            return self._client.send(*step, expected=_SERVER_ERROR)
        answer = self._client.send(*step)
        if step.path.endswith(_GREETING) and answer.status in {_OK, _ACCEPTED}:
            self._client.count_call()
        elif step.method == "POST" and answer.status == _CREATED:
            self._created.add(_path(answer))
        elif step.method == "DELETE":
            self._created.discard(step.path)
        return answer

    def _tidy_up(self) -> None:
        for path in self._created:
            self._client.send("DELETE", path)


class SampleUsers(Sender):
    """Creates users if there are none, and removes those that earlier runs left behind."""

    def __init__(self, client: CountingClient) -> None:
        super().__init__(client, "sample-users")
        self.made = 0

    def _work(self) -> None:
        for search in (EXAMPLE["email"], _DOMAIN):
            found = self._send("GET", f"/users?page_size=100&search={search}")
            for user in found.body.get("results", ()):
                if user["email"] == EXAMPLE["email"] or user["email"].endswith(f"@{_DOMAIN}"):
                    self._send("DELETE", f"/users/{user['id']}")
        if self._send("GET", "/users?page_size=1").body.get("results") != []:
            return
        for name in _NAMES:
            email = f"{name.lower().replace('ä', 'ae').replace(' ', '.')}@example.com"
            self.made += self._send("POST", "/users", {"name": name, "email": email}).status == _CREATED

    def _send(self, method: str, path: str, body: Any = None) -> Answer:
        return Answer(0, {}) if self._stopping.is_set() else self._client.send(method, path, body)


def _next_step(steps: Generator[Step, Answer, None], answer: Answer) -> Step | None:
    try:
        return steps.send(answer)
    except StopIteration:
        return None


def _path(answer: Answer) -> str:
    """Return the path of the created user; that of no user if it was not created."""
    return f"/users/{answer.body.get('id') or uuid.uuid4()}"
