"""The generators against a real server of known behaviour."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import pytest

from telemetry.tools.compare.load.generator import Done, Job, Load, percentile
from telemetry.tools.compare.load.mix import PERIOD, Mix, Request
from telemetry.tools.compare.setups.route import OFF
from telemetry.tools.compare.setups.run import Run
from telemetry.tools.demo.processes import Processes

STALL = 1.0


class Handler(BaseHTTPRequestHandler):
    """Answers as the mix expects; the server's `stall_at`-th request takes a second."""

    served = 0
    stall_at = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        with self.lock:
            type(self).served += 1
            stalled = self.served == self.stall_at
        if stalled:
            sleep(STALL)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = 404 if len(self.path) > len("/users/1") and "?" not in self.path else 200
        if body:
            status = 201 if b"example.com" in body else 400
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class PatientServer(HTTPServer):
    """Takes one request at a time; the others wait for their turn, however many they are."""

    request_queue_size = 128


@pytest.fixture
def serve() -> type[Handler]:
    Handler.served = Handler.stall_at = 0
    return Handler


def run(server: HTTPServer, folder: Path, kind: Literal["closed", "open"], job: Job) -> Done:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Processes(folder) as processes:
            load = Load(processes, folder, 1, kind, job)
            load.go()
            return load.result()
    finally:
        server.shutdown()
        server.server_close()


def test_open_loop_counts_from_the_due_time(tmp_path: Path, serve: type[Handler]) -> None:
    """A server that takes one request at a time stalls once: all that were due meanwhile are late, too."""
    serve.stall_at = 20
    server = PatientServer(("127.0.0.1", 0), serve)
    done = run(server, tmp_path, "open", Job(server.server_port, ["/users/1"], 2.0, 64, 50.0))
    assert (done.answered, done.failed, done.wrong) == (100, 0, {})
    waited = sorted(done.latencies)[-50:]
    # Those due during the stall wait for the rest of it, a fiftieth of a second less each.
    assert waited[-1] >= STALL
    assert sum(latency > STALL / 2 for latency in done.latencies) >= 20
    assert serve.served == 100
    assert done.ended_after(0.0) == 100
    assert done.ended_after(done.ends[-1] + 60) == 0


class Redirecting(Handler):
    """Sends everybody to another server, and notes the bodies that it gets."""

    elsewhere = 0
    bodies: set[bytes]

    def do_GET(self) -> None:
        with self.lock:
            type(self).served += 1
        self.bodies.add(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.elsewhere}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815


class Turns(NamedTuple):
    """Three turns of a generator: its results, the requests that came, their bodies, and the redirects followed."""

    done: list[Done]
    served: list[int]
    bodies: set[bytes]
    followed: int


GIVEN = [
    Request("GET", "/", "", 302),
    *(Request("POST", "/", body, 302) for body in ('{"n": "Zoë"}', '{"n": "Łukasz"}')),
]


@pytest.fixture(scope="module", params=["open", "closed"])
def turns(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Turns:
    """What each of the two generators does with redirected requests; each takes seconds to start."""
    Handler.served = Handler.stall_at = Redirecting.served = 0
    Redirecting.bodies = set()
    done, served = [], []
    folder = tmp_path_factory.mktemp(request.param)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as foreign,
        ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server,
        Processes(folder) as processes,
    ):
        Redirecting.elsewhere = foreign.server_port
        for each in (foreign, server):
            threading.Thread(target=each.serve_forever, daemon=True).start()
        job = Job(server.server_port, [], 0.5, 4, 40.0, GIVEN, turns=3)
        load = Load(processes, folder, 1, request.param, job)
        for _ in range(3):
            assert load.running
            before = Redirecting.served
            load.go()
            done.append(load.result())
            served.append(Redirecting.served - before)
        assert not load.running
        foreign.shutdown()
        server.shutdown()
    return Turns(done, served, Redirecting.bodies, Handler.served)


def test_turns_of_a_generator_are_counted_one_by_one(turns: Turns) -> None:
    for done, served in zip(turns.done, turns.served, strict=True):
        assert done.responses == len(done.begins) == len(done.ends) == served >= 4


def test_redirect_is_an_answer_and_not_followed(turns: Turns) -> None:
    for done in turns.done:
        assert (done.answered, done.failed, done.wrong) == (done.responses, 0, {})
    assert turns.followed == 0


def test_body_is_sent_in_utf_8(turns: Turns) -> None:
    assert turns.bodies == {request.body.encode() for request in GIVEN}


class Noting(Handler):
    """Notes the bodies that it gets."""

    bodies: set[bytes]

    def do_POST(self) -> None:
        self.bodies.add(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_single_requests_have_a_different_text_each_time() -> None:
    Noting.bodies = set()
    project = SimpleNamespace(requests=[Request("POST", "/", '{"name": "{n}"}', 200)])
    context: Any = SimpleNamespace(project=project, options=SimpleNamespace(workers=1))
    asking = Run(context, OFF)
    with ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asking.service = SimpleNamespace(port=server.server_port)  # type: ignore[assignment]
        asking.seed(0)
        for _ in range(3):
            asking.ask_once()
        server.shutdown()
    assert len(Noting.bodies) == 4


def test_wrong_and_missing_answers_are_counted(tmp_path: Path, serve: type[Handler]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    # A path that the server does not know, where the mix expects a user.
    done = run(server, tmp_path, "open", Job(server.server_port, ["/users/unknown"], 1.0, 8, float(PERIOD)))
    assert done.wrong == {"404": 12}
    assert done.answered == 8
    with Processes(tmp_path) as processes:
        load = Load(processes, tmp_path, 2, "open", Job(server.server_port, ["/users/1"], 0.5, 8, 10.0))
        load.go()
        assert load.result().failed == 5


def test_mix_is_what_it_says() -> None:
    requests = [Mix(["/users/1"]).request(number) for number in range(PERIOD)]
    assert [sum(request.expected == status for request in requests) for status in (200, 201, 400, 404)] == [16, 2, 1, 1]
    assert len({request.body for request in requests if request.expected == 201}) == 2


def test_percentile_of_few() -> None:
    assert percentile([3.0], 99) == 3.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
