"""Processes unlike a server's worker: without requests, without a Python to start, with handlers that record."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telemetry.journal import directory
from telemetry.journal.locks import is_held
from tests.lifecycle.test_succession import exporter_of
from tests.support.bare import environment
from tests.support.service import wait_until

BEFORE = """
import django, logging, sys
from pathlib import Path
django.setup()
from opentelemetry import trace
from telemetry import lifecycle
from telemetry.journal import directory
from telemetry.journal.locks import is_held
from telemetry.recording.journal import journal

def has_exporter():
    return is_held(directory.lock_of_exporter(journal.directory.path))
"""
DEAD = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "TELEMETRY_MODE": "collector",
    "TELEMETRY_FLUSH_TIMEOUT": "1",
}


@contextmanager
def running(folder: Path, code: str, settings: str = "settings") -> Iterator["subprocess.Popen[str]"]:
    """A process that runs `code` after BEFORE; it is killed at the end."""
    env = environment(folder, DEAD) | {"DJANGO_SETTINGS_MODULE": settings}
    command, pipe = [sys.executable, "-c", BEFORE + code], subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=env, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_exporter_of_a_process_that_only_logs_is_replaced(tmp_path: Path) -> None:
    code = """
lifecycle.start()
print(journal.directory.path, flush=True)
for line in sys.stdin:
    logging.getLogger("worker").warning("a task")
"""
    with running(tmp_path, code) as process:
        run = Path(line_of(process))
        wait_until(lambda: is_held(directory.lock_of_exporter(run)), 30, "the exporter")
        first = exporter_of(run)
        first.kill()
        wait_until(lambda: not is_held(directory.lock_of_exporter(run)), 30, "its end")

        def replaced() -> bool:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return is_held(directory.lock_of_exporter(run))

        wait_until(replaced, 30, "its successor")


def test_process_joins_by_a_log_record_once_there_is_a_place(tmp_path: Path) -> None:
    """Joining logs why there is none; a handler of that log which sends over HTTP has a span, and does not block it."""
    code = """
class Sending(logging.Handler):
    def emit(self, record):
        with trace.get_tracer("handler").start_as_current_span("POST"):
            pass
logging.root.addHandler(Sending())
bases = directory.bases
directory.bases = lambda *_: [Path("/proc/none")]
lifecycle.start()
print("started", flush=True)
directory.bases = bases
from time import monotonic, sleep
deadline = monotonic() + 30
while journal.directory is None and monotonic() < deadline:
    logging.getLogger("worker").warning("a task")
    sleep(0.1)
print(journal.directory, flush=True)
"""
    with running(tmp_path, code) as process:
        assert line_of(process) == "started"
        assert line_of(process) not in {"None", ""}


def test_child_of_a_serving_process_records_nothing(tmp_path: Path) -> None:
    code = """
import os
lifecycle.start("127.0.0.1:8000")
if not os.fork():
    with trace.get_tracer("child").start_as_current_span("a span"):
        logging.getLogger("child").warning("a record")
    print(journal.directory, flush=True)
"""
    with running(tmp_path, code) as process:
        assert line_of(process) == "None"


def test_thread_exports_where_the_exporters_command_fails(tmp_path: Path) -> None:
    """As in a server that embeds Python: `sys.executable` starts, and is none."""
    broken = tmp_path / "python-of-another-kind"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o700)
    code = f"""
sys.executable = {str(broken)!r}
lifecycle.start()
from threading import enumerate as threads
from time import sleep
while not has_exporter():
    logging.getLogger("worker").warning("a task")
    sleep(0.1)
print(*(thread.name for thread in threads()), flush=True)
"""
    with running(tmp_path, code) as process:
        assert "telemetry" in line_of(process)


def test_python_beside_a_server_that_embeds_it_is_found_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    """A release that another one has replaced."""
    code = """
import os
os.mkdir("release")
os.chdir("release")
os.rmdir("../release")
sys.executable = "/usr/sbin/uwsgi"
lifecycle.start()
from time import sleep
while not has_exporter():
    sleep(0.1)
print(journal.directory.path, flush=True)
sys.stdin.readline()
"""
    with running(tmp_path, code) as process:
        assert exporter_of(Path(line_of(process)))


def test_services_named_in_their_settings_have_runs_of_their_own(tmp_path: Path) -> None:
    """One command of two settings, as two units of a supervisor start it: one must not send under the other's name."""
    code = """
lifecycle.start()
print(journal.directory.path, flush=True)
sys.stdin.readline()
"""
    for name in ("shop", "stock"):
        (tmp_path / f"{name}.py").write_text(f'from settings import *\nTELEMETRY = {{"SERVICE_NAME": "{name}"}}\n')
    with running(tmp_path, code, "shop") as one, running(tmp_path, code, "stock") as other:
        runs = [line_of(process) for process in (one, other)]
    assert runs[0]
    assert runs[0] != runs[1]
