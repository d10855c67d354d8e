"""How many machine instructions a request takes: the same however busy the machine is.

    python -m tests.benchmarks.instructions

Counts with valgrind's cachegrind (which must be installed) what a worker executes for a request of the comparison's mix
with telemetry off and on, what gunicorn's worker executes to read a request and to send its answer, and what the
exporter executes for the records of the same mix: read, counted, redacted, encoded. A run with requests minus one with
none but the first. The kernel's part and the sending of batches of hundreds are not in it. Takes three minutes.
"""

import argparse
import io
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import count as ticks
from marshal import dumps, loads
from pathlib import Path
from shutil import which
from typing import Any

from telemetry.journal.directory import rings
from telemetry.journal.ring import MARSHAL, RingReader
from telemetry.recording.journal import journal
from telemetry.tools.compare.load.mix import PERIOD, Mix
from telemetry.tools.compare.setups.sockets import wait_until
from tests.support.ports import free_port
from tests.support.service import ROOT

_FIRST = 3 * PERIOD
"""Requests before those that are counted: caches are filled, patterns compiled."""
_COUNTED = 40 * PERIOD
_USERS = 20
_TICK_NS = 500_000
"""From one look at the clock to the next: four or five are a request's."""


def worker() -> Callable[[int], None]:
    """Return what answers a request in this process, by the service's WSGI application."""
    # valgrind slows everything down 50 times: what is due each second would count 50 times as much.
    time.perf_counter_ns = ticks(step=_TICK_NS).__next__
    from userapi.wsgi import application  # the environment decides on telemetry

    from userapi.users.models import User  # isort: skip

    users = [User.objects.create(name="Test User", email=f"test.{number}@example.com") for number in range(_USERS)]
    mix = Mix([f"/users/{user.pk}" for user in users])
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115  (until the process ends)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(nowhere)

    def answer(number: int) -> None:
        request = mix.request(number)
        path, _, query = request.path.partition("?")
        environ = {
            "REQUEST_METHOD": request.method, "PATH_INFO": path, "RAW_URI": request.path, "QUERY_STRING": query,
            "SERVER_NAME": "localhost", "SERVER_PORT": "8080", "HTTP_HOST": "localhost:8080",
            "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_USER_AGENT": "curl/8", "HTTP_ACCEPT": "*/*",
            "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": str(40_000 + number % 20_000), "wsgi.url_scheme": "http",
            "CONTENT_TYPE": "application/json" if request.body else "", "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.input": io.BytesIO(request.body.encode()), "wsgi.errors": nowhere, "wsgi.version": (1, 0),
            "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        }  # fmt: skip
        statuses: list[str] = []
        response: Any = application(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]
        b"".join(response)
        response.close()
        if [status.partition(" ")[0] for status in statuses] != [str(int(request.expected))]:
            raise SystemExit(f"the service answered {request} with {statuses}")

    return answer


def keep_records(file: Path) -> None:
    """Write into `file` the records of the first requests, and of the counted ones, as they are in the journal."""
    answer = worker()
    for number in range(_FIRST):
        answer(number)
    if journal.directory is None:
        raise SystemExit("this process has no journal")
    (ring,) = map(reader, rings(journal.directory.path).values())
    first, position = ring.read(0)
    for number in range(_FIRST, _FIRST + _COUNTED):
        answer(number)
    rest, _ = ring.read(position)
    file.write_bytes(dumps([[dumps(record, MARSHAL) for record in records] for records in (first, rest)]))


def reader(path: Path) -> RingReader:
    """Return a reader of the ring at `path`."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return RingReader(descriptor)
    finally:
        os.close(descriptor)


def export(file: Path, count: int) -> None:
    """Make of records what the exporter makes of them: the first ones, and the others if there is a `count`."""
    from tests.benchmarks.translation import AT_ONCE, prepared

    first, rest = loads(file.read_bytes())  # noqa: S302
    translator, filled = prepared()

    def translate(written: list[bytes]) -> None:
        for start in range(0, len(written), AT_ONCE):
            translator.translate([loads(data) for data in written[start : start + AT_ONCE]], None)  # noqa: S302

    translate(first)
    for batches in filled:  # as much at the end of each run
        list(batches.take())
    if count:
        translate(rest)


def nothing(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with as much as the service does, at once: what remains is gunicorn's part."""
    headers = [(f"X-Header-{number}", "some value of a header") for number in range(8)]
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "200"), *headers])
    return [b"x" * 200]


def child(kind: str, count: int, records: Path) -> None:
    """Be the process that is counted, which ends at once: what its end takes is nothing of a request's."""
    if kind == "exporter":
        export(records, count)
    elif kind == "records":
        keep_records(records)
    else:
        answer = worker()
        for number in range(_FIRST + count):
            answer(number)
    sys.stdout.flush()
    os._exit(0)


def instructions(folder: Path, kind: str, count: int, env: dict[str, str]) -> int:
    """Return how many instructions a process executes that handles so many requests beside the first ones."""
    file = folder / f"{kind}-{count}.out"
    run(valgrind(file), folder, kind, count, env)
    return counted(file)


def run(prefix: Sequence[str], folder: Path, kind: str, count: int, env: dict[str, str]) -> None:
    """Run a process of this module to its end."""
    of_child = ["--child", kind, str(count), str(folder / "records")]
    command = [*prefix, sys.executable, "-m", "tests.benchmarks.instructions", *of_child]
    env = {**os.environ, **env, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)


def gunicorn(folder: Path, count: int, env: dict[str, str]) -> int:
    """Return how many instructions gunicorn's worker executes that is asked so many times beside the first ones."""
    port, log = free_port(), folder / f"gunicorn-{count}.log"
    options = ["-c", "deploy/gunicorn.conf.py", "--workers", "1", "--bind", f"127.0.0.1:{port}", "--timeout", "600"]
    command = [*valgrind(folder / f"gunicorn-{count}-%p.out"), sys.executable, "-m", "gunicorn", *options]
    env = {**os.environ, **env, "PYTHONHASHSEED": "0"}
    with log.open("wb") as printed, subprocess.Popen(
        [*command, "tests.benchmarks.instructions:nothing"], cwd=ROOT, env=env, stdout=printed, stderr=printed
    ) as server:  # fmt: skip
        try:
            wait_until(lambda: b"Booting worker" in log.read_bytes(), 120, "gunicorn's worker")
            connection = HTTPConnection("127.0.0.1", port, timeout=120)
            for _ in range(_FIRST + count):
                connection.request("GET", "/", headers={"User-Agent": "curl/8", "Accept": "*/*"})
                connection.getresponse().read()
            connection.close()
        finally:
            server.send_signal(signal.SIGTERM)
    (file,) = (file for file in folder.glob(f"gunicorn-{count}-*.out") if f"-{server.pid}." not in file.name)
    return counted(file)


def valgrind(file: Path) -> list[str]:
    """Return the command that counts another one's instructions into `file`."""
    return ["valgrind", "--quiet", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={file}"]


def counted(file: Path) -> int:
    """Return the sum of the instructions in `file`."""
    found = re.search(r"^summary: (\d+)", file.read_text(errors="replace"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{file} has no summary")
    return int(found[1])


def environment(folder: Path, name: str, mode: str) -> dict[str, str]:
    """Return the environment of a service with a database of its own."""
    from tests.conftest import migrate

    database = f"sqlite:///{folder}/{name}.sqlite3"
    migrate(database)
    return {
        "TELEMETRY_MODE": mode,
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "userapi.settings",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
        "DJANGO_DEBUG": "false",
        "DJANGO_HTTPS": "false",
        "USERAPI_OPEN_ACCESS": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "TELEMETRY_FLUSH_TIMEOUT": "0.1",
    }


def of_a_request(folder: Path, kind: str, mode: str) -> float:
    """Return the instructions of one request."""

    def total(count: int) -> int:
        env = environment(folder, f"{kind}-{mode}-{count}", mode)
        return gunicorn(folder, count, env) if kind == "gunicorn" else instructions(folder, kind, count, env)

    with ThreadPoolExecutor(2) as both:
        first, all_of_them = both.map(total, (0, _COUNTED))
    return (all_of_them - first) / _COUNTED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=3, metavar=("KIND", "COUNT", "RECORDS"), help=argparse.SUPPRESS)
    if of_child := parser.parse_args().child:
        kind, count, records = of_child
        child(kind, int(count), Path(records))
    if which("valgrind") is None:
        sys.stderr.write("valgrind is not installed (Debian: apt-get install valgrind)\n")
        return 2
    with tempfile.TemporaryDirectory() as name:
        off, on = (of_a_request(Path(name), "worker", mode) for mode in ("off", "collector"))
        run((), Path(name), "records", _COUNTED, environment(Path(name), "records", "collector"))
        exported = of_a_request(Path(name), "exporter", "collector")
        served = of_a_request(Path(name), "gunicorn", "off")
    print(f"{'instructions of a request':28} {'off':>12} {'on':>12}")
    print(f"{'service':28} {off:12,.0f} {on:12,.0f}   {on / off - 1:+.1%}")
    print(f"{'gunicorn':28} {served:12,.0f} {served:12,.0f}")
    print(f"{'exporter':28} {0:12,} {exported:12,.0f}   {exported / (off + served):+.1%}")
    print(f"{'off / on':28} {(off + served) / (on + served + exported):25.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
