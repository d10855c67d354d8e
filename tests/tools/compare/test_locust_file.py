"""The users of a reader's own Locust file: every request is counted, at the rate and from the moment it was due."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any

import pytest

from telemetry.tools.compare.load.generator import Done, Job, Load
from telemetry.tools.demo.processes import Processes
from tests.support.service import ROOT

FILE = """
from locust import FastHttpUser, HttpUser, between, task

class Slow(HttpUser):
    wait_time = between(60, 60)

    @task
    def three(self):
        self.client.get("/moved")
        with self.client.get("/missing", catch_response=True) as answer:
            answer.success()
        self.client.get("http://127.0.0.1:1/elsewhere")

class Quick(FastHttpUser):
    @task(2)
    def one(self):
        self.client.get("/")

    @task
    def bad(self):
        self.client.get("/missing")
        self.client.get("/moved")
"""

EVALUATE = """
import json, sys
from telemetry.tools.compare.load.locust_users import LocustFileError, chosen, run, serve, users_of

def refused(path):
    try:
        users_of(path)
    except LocustFileError as error:
        return str(error)

for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""

pytestmark = pytest.mark.timeout(120)


@contextmanager
def server(pause: float = 0.0, to: str = "/") -> Iterator[tuple[int, Counter[str]]]:
    """Yield port and counts by path; from 0.5 to 0.5 + `pause` seconds after its first request it stalls.

    `/moved` is a redirect to `to`.
    """
    asked: Counter[str] = Counter()
    lock = Lock()
    began: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                asked[self.path] += 1
                began.append(monotonic())
            if 0 < (into := monotonic() - began[0] - 0.5) < pause:
                sleep(pause - into)
            status = {"/moved": 302, "/missing": 404}.get(self.path, 200)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield listening.server_port, asked
        finally:
            listening.shutdown()


class Python:
    """Another Python with Locust, which would replace the sockets of this one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{expression}\n")
        self._process.stdin.flush()
        try:
            answer = self._process.stdout.readline()
        except BaseException:  # the next one would read this one's answer
            self._process.kill()
            raise
        assert answer, f"{expression} has ended it"
        return json.loads(answer)

    def load(self, folder: Path, text: str, port: int, *, clients: int, rate: float, seconds: float) -> Done:
        """Return the result of the users of a Locust file with this text."""
        path = folder / "locustfile.py"
        path.write_text(text)
        job = Job(port, (), seconds, clients, rate, locustfile=str(path))
        written = folder / "job.json"
        written.write_text(json.dumps({name: getattr(job, name) for name in Job.__slots__}))
        written.with_suffix(".go-0").touch()
        self.evaluate(f"serve({str(written)!r}, run)")
        return Done(**json.loads(written.with_suffix(".done-0").read_text()))


@pytest.fixture(scope="module")
def python() -> Iterator[Python]:
    """One for all tests of this module: Locust takes a second to import."""
    with subprocess.Popen(
        [sys.executable, "-c", EVALUATE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Python(process)
        finally:
            process.kill()  # else a load that hangs would be waited for


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 1.0), (40.0, 2.0)])
def test_each_request_is_counted_with_its_redirects(
    python: Python, tmp_path: Path, rate: float, seconds: float
) -> None:
    with server() as (port, asked):
        done = python.load(tmp_path, FILE, port, clients=8, rate=rate, seconds=seconds)
    assert done.responses == asked.total() == len(done.begins) == len(done.ends)
    assert done.failed == 0
    assert done.wrong.get("404", 0) < asked["/missing"]  # what the file says is right is right
    assert {"/", "/moved", "/missing"} == asked.keys()
    if rate:  # the end may come before all are sent
        assert 0.65 * rate * (max(done.begins) - min(done.begins)) < asked.total() < 1.35 * rate * seconds
    else:
        slow = asked["/missing"] - done.wrong.get("404", 0)
        assert slow > 4  # the minute between two tasks of one of the four users is left out


def test_answer_of_another_host_after_a_redirect_is_not_counted(python: Python, tmp_path: Path) -> None:
    with server() as (foreign, elsewhere), server(to=f"http://127.0.0.1:{foreign}/") as (port, asked):
        text = "from locust import FastHttpUser, HttpUser, task\n" + "".join(
            f"class {kind[0]}({kind}):\n    @task\n    def one(self):\n        self.client.get('/moved')\n"
            for kind in ("FastHttpUser", "HttpUser")
        )
        done = python.load(tmp_path, text, port, clients=4, rate=20.0, seconds=1.0)
    assert done.responses == len(done.begins) == asked.total() > 4
    assert elsewhere.total() > 4


def test_users_do_the_tasks_of_their_own_class(python: Python, tmp_path: Path) -> None:
    text = "from locust import FastHttpUser, task\n" + "".join(
        f"class {name}(FastHttpUser):\n    @task\n    def one(self):\n"
        f"        self.client.get('/{name}-' + type(self).__name__)\n"
        for name in ("First", "Second")
    )
    with server() as (port, asked):
        python.load(tmp_path, text, port, clients=4, rate=20.0, seconds=1.0)
    assert asked.keys() == {"/First-First", "/Second-Second"}


def test_latency_counts_from_the_due_moment(python: Python, tmp_path: Path) -> None:
    text = (
        FILE.partition("class Slow")[0]
        + "class A(FastHttpUser):\n    @task\n    def one(self):\n        self.client.get('/')\n"
    )
    with server(pause=1.0) as (port, _):
        done = python.load(tmp_path, text, port, clients=2, rate=20.0, seconds=4.0)
    # What was held up is made up for within the rest, whenever the last one begins.
    assert 20 * (max(done.begins) - min(done.begins)) - 3 <= len(done.begins) <= 83
    # Two users are held up; the requests that were due meanwhile waited as well.
    assert sum(wait > 0.4 for wait in done.waits) >= 8
    assert sum(latency > 0.4 for latency in done.latencies) >= 8
    assert done.late > 0.5


def test_each_turn_counts_its_own_requests(tmp_path: Path) -> None:
    path = tmp_path / "locustfile.py"
    path.write_text(
        f"""{FILE}
from locust import events

@events.init.add_listener
def begin(environment, **_):
    with open("{tmp_path}/begun", "a") as file:
        file.write("once ")
"""
    )
    with server() as (port, asked), Processes(tmp_path) as processes:
        job = Job(port, (), 0.5, 4, 40.0, locustfile=str(path), turns=3)
        turns = Load(processes, tmp_path, 1, "open", job)
        for _ in range(3):
            before = asked.total()
            turns.go()
            assert turns.result().responses == asked.total() - before > 0
    assert (tmp_path / "begun").read_text() == "once "


def test_request_without_an_answer_has_failed(python: Python, tmp_path: Path) -> None:
    with server() as (port, _):
        pass
    done = python.load(tmp_path, FILE, port, clients=2, rate=20.0, seconds=1.0)
    assert done.failed == len(done.begins) == len(done.unanswered) > 0
    assert done.responses == 0


def test_classes_are_chosen_by_weight(python: Python) -> None:
    weights = {"a": 10, "b": 1, "c": 3}
    classes = [f"type({name!r}, (), {{'weight': {weight}}})" for name, weight in weights.items()]

    def names(number: int, *given: str) -> list[str]:
        found: list[str] = python.evaluate(f"[one.__name__ for one in chosen([{', '.join(given)}], {number})]")
        return found

    assert Counter(names(28, *classes)) == {"a": 20, "c": 6, "b": 2}
    assert names(2, *classes[:2]) == ["a", "a"]


NO_CLASS = "has no user class; expected a class of locust.HttpUser or FastHttpUser"


@pytest.mark.parametrize(
    ("text", "named"),
    [("x = 1\n", NO_CLASS), ("import nothing_like_it\n", "ModuleNotFoundError"), ("x = (\n", "SyntaxError")],
)
def test_file_that_cannot_be_used_is_named(python: Python, tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "locustfile.py"
    path.write_text(text)
    message = python.evaluate(f"refused({str(path)!r})")
    assert message.startswith(f"--requests {path} ")
    assert named in message


def test_file_that_cannot_be_used_is_refused_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "locustfile.py"
    path.write_text("x = (\n")
    command = ["-m", "telemetry.tools.compare", "--wsgi", "a", "--settings", "b", "--requests", str(path)]
    ended = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert f"--requests {path} cannot be loaded: SyntaxError" in ended.stderr
    assert "Traceback" not in ended.stderr
