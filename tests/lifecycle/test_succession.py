"""One exporter follows another without a request: a service that is idle has what it recorded last delivered, too."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from telemetry.journal import directory
from telemetry.journal.asking import ask
from telemetry.journal.locks import is_held
from telemetry.tools.console.server import Console
from tests.support.bare import environment
from tests.support.routes import Route
from tests.support.service import ROOT, wait_until

# Makes a span of each line, and is idle otherwise. With an argument a server says where it listens.
WORKER = """
import django, sys
django.setup()
from opentelemetry import trace
from telemetry import lifecycle
lifecycle.start(*sys.argv[1:])
for line in sys.stdin:
    with trace.get_tracer("worker").start_as_current_span(line.strip()):
        pass
"""
# Takes the run for over, once.
MISTAKEN = """
import runpy
from telemetry.exporting.loop import Loop
Loop._look = lambda self, now: False
runpy.run_module("telemetry.exporting", run_name="__main__", alter_sys=True)
"""


def of_version(number: int, folder: Path, console: Console) -> dict[str, str]:
    version = {"OTEL_RESOURCE_ATTRIBUTES": f"service.version={number}"}
    return environment(folder, Route("collector", "http/protobuf").env(console) | version)


@contextmanager
def worker(folder: Path, env: dict[str, str], *place: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", WORKER, *place]
    with subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def span(process: "subprocess.Popen[bytes]", name: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{name}\n".encode())
    process.stdin.flush()


def version_of(console: Console, name: str) -> object:
    """Return the version of the service that a span came from, once it is there."""

    def found() -> object:
        spans = (each for each in console.store.spans() if each.name == name)
        return next((each.resource.attributes["service.version"] for each in spans), None)

    return wait_until(found, 60, f"the span {name}")


def run_if_joined(process: "subprocess.Popen[bytes]") -> Path | None:
    files = (Path(file.path) for file in psutil.Process(process.pid).open_files())
    return next((file.parent for file in files if file.suffix == ".ring"), None)


def run_of(process: "subprocess.Popen[bytes]") -> Path:
    run = run_if_joined(process)
    assert run
    return run


def exporter_of(run: Path) -> psutil.Process:
    return next(each for each in psutil.process_iter(["cmdline"]) if str(run) in (each.info["cmdline"] or []))


def starts(run: Path) -> int:
    return int(json.loads(ask(run, {"ask": "status"}, 60)[1])["starts"])


def test_exporter_of_a_changed_service_follows_at_once(console: Console, tmp_path: Path) -> None:
    place = str(tmp_path)
    with worker(tmp_path, of_version(1, tmp_path, console), place) as old:
        span(old, "first")
        assert version_of(console, "first") == "1"
        with worker(tmp_path, of_version(2, tmp_path, console), place) as new:
            span(new, "second")  # nothing further: only who records looks after the exporter
            version_of(console, "second")
            wait_until(lambda: starts(run_of(new)) == 2, 60, "another exporter")
            assert run_of(new) == run_of(old)
            span(new, "third")
            assert version_of(console, "third") == "2"


def test_processes_of_other_settings_at_the_same_time_have_an_exporter_each(console: Console, tmp_path: Path) -> None:
    with (
        Console(grpc_port=0, http_port=0, api_port=0) as other,
        worker(tmp_path, of_version(1, tmp_path, console)) as one,
        worker(tmp_path, of_version(1, tmp_path, other)) as two,
        worker(tmp_path, of_version(1, tmp_path, console)) as three,
    ):
        for number in range(2):
            for process, name in ((one, "one"), (two, "two"), (three, "three")):
                span(process, f"{name} {number}")
            for receiver, name in ((console, "one"), (other, "two"), (console, "three")):
                version_of(receiver, f"{name} {number}")
        assert {each.name for each in other.store.spans()} == {"two 0", "two 1"}
        assert {each.name for each in console.store.spans()} == {"one 0", "one 1", "three 0", "three 1"}
        assert run_of(one) == run_of(three) != run_of(two)
        assert starts(run_of(one)) == starts(run_of(two)) == 1


def test_restart_with_other_settings_continues_the_run(console: Console, tmp_path: Path) -> None:
    nowhere = of_version(1, tmp_path, console) | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with worker(tmp_path, nowhere) as old:
        span(old, "first")
        run = wait_until(lambda: run_if_joined(old), 60, "a ring")
        assert run
        wait_until(lambda: starts(run) == 1, 60, "an exporter")
        exporter_of(run).kill()
        old.kill()
        old.wait(30)
    with worker(tmp_path, of_version(2, tmp_path, console)) as new:
        version_of(console, "first")  # of the version that encoded it
        assert run_of(new) == run


def test_exporter_goes_on_that_took_the_run_for_over(console: Console, tmp_path: Path) -> None:
    env = of_version(1, tmp_path, console)
    with worker(tmp_path, env) as process:
        span(process, "first")
        version_of(console, "first")
        run = run_of(process)
        assert starts(run) == 1
        exporter_of(run).kill()
        wait_until(lambda: not is_held(directory.lock_of_exporter(run)), 30, "the exporter's end")
        subprocess.run([sys.executable, "-c", MISTAKEN, str(run)], cwd=ROOT, env=env, check=True)
        wait_until(lambda: starts(run) == 3, 60, "the mistaken exporter, and once more")
