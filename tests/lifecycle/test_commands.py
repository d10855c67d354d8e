"""A command that records ends for its caller when it ends itself, whoever reads what it prints."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.status import is_delivering
from telemetry.tools.console.server import Console
from tests.support.bare import environment
from tests.support.routes import Route
from tests.support.service import wait_until

COMMAND = """
import django
django.setup()
from opentelemetry import trace
from telemetry import lifecycle
lifecycle.start()
with trace.get_tracer("command").start_as_current_span("the span"):
    pass
print("done")
"""
# Its exporter ends at once; the child starts the next one.
FORKING = """
import multiprocessing, os
import django
django.setup()
from opentelemetry import trace
from telemetry import lifecycle
from telemetry.recording import process
start_exporter = process.start_exporter
process.start_exporter = lambda *_, **__: start_exporter("/proc/none")
lifecycle.start()
process.start_exporter = start_exporter

def do():
    with trace.get_tracer("command").start_as_current_span("the span"):
        pass

child = multiprocessing.get_context("fork").Process(target=do)
child.start()
child.join()
print("done")
"""
DEAD = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "TELEMETRY_MODE": "collector",
    "TELEMETRY_FLUSH_TIMEOUT": "15",
}


OBSERVED = """
import sys, threading, time
import django
django.setup()
from opentelemetry import metrics, trace
from opentelemetry.metrics import Observation
from telemetry import lifecycle
lifecycle.start()
lock, observed = threading.Lock(), []

def done(options):
    with lock:
        observed.append(options)
        yield Observation(len(observed))

meter = metrics.get_meter("shop")
meter.create_observable_counter("jobs.done", [done])
begun = meter.create_counter("jobs.begun")
while "wait" in sys.argv and len(observed) < 2:
    with trace.get_tracer("shop").start_as_current_span("a job"), lock:
        begun.add(1)
    time.sleep(0.01)
print(len(observed), flush=True)
"""


FORKED = """
import logging, multiprocessing, os, sys
import django
django.setup()
from django.db import connection
from opentelemetry import metrics, trace
from telemetry import lifecycle
from telemetry.recording.journal import journal
lifecycle.start()
begun, tracer = metrics.get_meter("shop").create_counter("jobs.begun"), trace.get_tracer("shop")

def log():
    logging.getLogger("shop").warning("a job")

def measure():
    begun.add(1)

def query():
    connection.cursor().execute("SELECT 1")

def trace_it():
    with tracer.start_as_current_span("a job"):
        log()
        measure()
        query()

def do(job):
    job()
    print(journal.directory.path, flush=True)

print(journal.directory.path, flush=True)
for job in (log, measure, query):
    child = os.fork()
    if child == 0:
        do(job)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
os.environ["OTEL_LOG_LEVEL"] = "of a task"
child = multiprocessing.get_context("fork").Process(target=do, args=[trace_it])
child.start()
child.join()
assert child.exitcode == 0
"""


def run(
    folder: Path, env: dict[str, str], stdout: int, stderr: int, command: str = COMMAND
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", command],
        cwd=folder,
        env=environment(folder, env),
        check=True,
        text=True,
        stdout=stdout,
        stderr=stderr,
    )


def test_caller_that_reads_the_output_does_not_wait_for_the_exporter(tmp_path: Path) -> None:
    """Even of a child that the command has forked."""
    ended = run(tmp_path, DEAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE, command=FORKING)
    assert ended.stdout == "done\n"
    wait_until(lambda: is_delivering(os.getpid()), 30, "the exporter, which goes on")


def test_log_of_the_exporter_is_in_the_file_that_the_command_writes_errors_to(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w") as errors:
        ended = run(tmp_path, DEAD | {"TELEMETRY_FLUSH_TIMEOUT": "1"}, stdout=subprocess.PIPE, stderr=errors.fileno())
    assert ended.stdout == "done\n"
    wait_until(lambda: "dropped at stop" in (tmp_path / "errors").read_text(), 30, "the exporter's last line")


def test_exporter_that_prints_has_the_standard_output_of_the_command(tmp_path: Path) -> None:
    """Whoever reads that waits for it."""
    env = DEAD | {"OTEL_TRACES_EXPORTER": "console", "TELEMETRY_FLUSH_TIMEOUT": "1"}
    ended = run(tmp_path, env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert ended.stdout.startswith("done\n")
    assert '"resourceSpans"' in ended.stdout
    assert "dropped at stop" in ended.stdout  # the data points


@pytest.mark.parametrize(
    ("words", "interval", "exporter"),
    [(["wait"], "1000", "process"), ([], "60000", "thread")],
    ids=["meanwhile, and at the end", "at the end, by a thread"],
)
def test_observable_instruments_are_read_without_a_trace(
    tmp_path: Path, console: Console, words: list[str], interval: str, exporter: str
) -> None:
    """While the command measures, holding a lock that the callback needs, and at its end."""
    env = {**Route("collector", "grpc").env(console), "OTEL_TRACES_SAMPLER": "always_off"}
    # A service of its own: with an exporter in a thread, what a former test left continues.
    env |= {"TELEMETRY_EXPORTER": exporter, "OTEL_SERVICE_NAME": f"shop-{secrets.token_hex(4)}"}
    env = environment(tmp_path, {**env, "OTEL_METRIC_EXPORT_INTERVAL": interval})
    command = [sys.executable, "-c", OBSERVED, *words]
    ended = subprocess.run(command, cwd=tmp_path, env=env, check=True, text=True, capture_output=True, timeout=60)
    meanwhile = int(ended.stdout)
    assert meanwhile >= 2 if words else meanwhile == 0

    def arrived() -> list[float]:
        return [points[-1].decode().data["value"] for _, points in console.store.series("jobs.done", points=1)]

    wait_until(lambda: any(value > meanwhile for value in arrived()), 30, "the counter that was observed at the end")


def test_children_that_a_command_forks_record_from_the_first(tmp_path: Path, console: Console) -> None:
    """As a worker of a task queue that forks for each task. Its exporter serves them all."""
    env = environment(tmp_path, {**Route("collector", "grpc").env(console), "OTEL_METRIC_EXPORT_INTERVAL": "1000"})
    with (tmp_path / "settings.py").open("a") as settings:
        settings.write('DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}\n')
    command = [sys.executable, "-c", FORKED]
    ended = subprocess.run(command, cwd=tmp_path, env=env, check=True, text=True, stdout=subprocess.PIPE, timeout=60)
    runs = ended.stdout.split()
    assert (len(runs), len({*runs})) == (5, 1)

    def arrived() -> tuple[int, int, list[float]]:
        logs = [record.body for record in console.store.logs()]
        spans = [span.name for span in console.store.spans()]
        counted = [points[-1].decode().data["value"] for _, points in console.store.series("jobs.begun", points=1)]
        return logs.count("a job"), spans.count("SELECT"), counted

    assert wait_until(lambda: arrived() == (2, 2, [2]), 30, "what the children recorded")
