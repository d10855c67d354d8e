"""The generators against a real server of known behaviour."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any, Literal

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


def test_open_loop_sends_every_request_once(tmp_path: Path, serve: type[Handler]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    done = run(server, tmp_path, "open", Job(server.server_port, ["/users/1"], 1.0, 16, 40.0))
    assert done.answered == serve.served == 40
    assert done.ended_after(0.0) == 40
    assert done.ended_after(done.ends[-1] + 60) == 0


def test_closed_loop_counts_every_request(tmp_path: Path, serve: type[Handler]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    done = run(server, tmp_path, "closed", Job(server.server_port, ["/users/1"], 1.0, 4))
    assert done.responses == serve.served > 4
    assert (done.failed, done.wrong) == (0, {})
    assert len(done.begins) == len(done.ends) == done.responses


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_turns_of_a_generator_are_counted_one_by_one(
    tmp_path: Path, serve: type[Handler], kind: Literal["closed", "open"]
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Processes(tmp_path) as processes:
        load = Load(processes, tmp_path, 1, kind, Job(server.server_port, ["/users/1"], 0.5, 4, 40.0, turns=3))
        for _ in range(3):
            assert load.running
            before = serve.served
            load.go()
            done = load.result()
            assert done.answered == serve.served - before >= 4
            assert (done.failed, done.wrong) == (0, {})
        assert not load.running
    server.shutdown()
    server.server_close()


class Redirecting(Handler):
    """Sends everybody to another server."""

    elsewhere = 0

    def do_GET(self) -> None:
        type(self).served += 1
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.elsewhere}/")
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_redirect_is_an_answer_and_not_followed(
    tmp_path: Path, serve: type[Handler], kind: Literal["closed", "open"]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        Redirecting.served, Redirecting.elsewhere = 0, foreign.server_port
        server = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
        given = [Request("GET", "/", "", 302)]
        done = run(server, tmp_path, kind, Job(server.server_port, [], 0.5, 4, 20.0, given))
        foreign.shutdown()
    assert done.answered == Redirecting.served >= 4
    assert (done.failed, done.wrong, serve.served) == (0, {}, 0)


class Noting(Handler):
    """Notes the bodies that it gets."""

    bodies: set[bytes]

    def do_POST(self) -> None:
        self.bodies.add(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_body_is_sent_in_utf_8(tmp_path: Path, kind: Literal["closed", "open"]) -> None:
    Noting.bodies = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Noting)
    given = [Request("POST", "/", body, 0) for body in ('{"name": "Zoë"}', '{"name": "Łukasz"}')]
    done = run(server, tmp_path, kind, Job(server.server_port, [], 0.2, 4, 20.0, given))
    assert done.answered >= 2
    assert Noting.bodies == {request.body.encode() for request in given}


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
