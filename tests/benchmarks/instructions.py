"""How many machine instructions a request takes: the same however busy the machine is.

    python -m tests.benchmarks.instructions

Counts with valgrind's cachegrind (which must be installed) what a worker executes for `GET /users/{id}` with telemetry
off and on, and what the exporter executes for the record of such a request: read, counted, redacted, encoded. A run
with requests minus one with none but the first. gunicorn's part and the sending of batches of hundreds are not in it.
Takes about a minute.
"""

import io
import logging
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which
from typing import Any

from tests.support.service import ROOT

_FIRST = 60
"""Requests before those that are counted: caches are filled, patterns compiled."""
_COUNTED = 200


def worker() -> Callable[[int], None]:
    """Return what answers a request in this process, by the service's WSGI application."""
    from userapi.wsgi import application  # the environment decides on telemetry

    from userapi.users.models import User  # isort: skip

    path = f"/users/{User.objects.create(name='Test User', email='test@example.com').pk}"
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115  (until the process ends)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(nowhere)

    def answer(number: int) -> None:
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "RAW_URI": path, "QUERY_STRING": "", "SERVER_NAME": "localhost",
            "SERVER_PORT": "8080", "HTTP_HOST": "localhost:8080", "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_USER_AGENT": "curl/8", "HTTP_ACCEPT": "*/*", "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": str(40_000 + number % 20_000), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
            "wsgi.errors": nowhere, "wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }  # fmt: skip
        statuses: list[str] = []
        response: Any = application(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]
        b"".join(response)
        response.close()
        if statuses != ["200 OK"]:
            raise SystemExit(f"the service answered {statuses}")

    return answer


def exporter() -> Callable[[int], None]:
    """Return what makes of a request's record what the exporter makes of it."""
    from marshal import dumps, loads

    from tests.benchmarks.translation import prepared, record

    translator, filled = prepared()
    written = [dumps(record(number), 2) for number in range(_FIRST + _COUNTED)]

    def translate(number: int) -> None:
        translator.translate([loads(written[number])], None)  # noqa: S302
        if number == _FIRST - 1:  # as much at the end of each run
            for batches in filled:
                list(batches.take())

    return translate


def child(kind: str, count: int) -> None:
    """Be the process that is counted, which ends at once: what its end takes is nothing of a request's."""
    run = worker() if kind == "worker" else exporter()
    for number in range(_FIRST + count):
        run(number)
    sys.stdout.flush()
    os._exit(0)


def instructions(folder: Path, kind: str, count: int, env: dict[str, str]) -> int:
    """Return how many instructions a process executes that handles so many requests beside the first ones."""
    file = folder / f"{kind}-{count}.out"
    valgrind = ["valgrind", "--quiet", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={file}"]
    command = [*valgrind, sys.executable, "-m", "tests.benchmarks.instructions", kind, str(count)]
    env = {**os.environ, **env, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    found = re.search(r"^summary: (\d+)", file.read_text(errors="replace"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{file} has no summary")
    return int(found[1])


def of_a_request(folder: Path, kind: str, mode: str) -> float:
    """Return the instructions of one request."""
    from tests.conftest import migrate

    def total(count: int) -> int:
        database = f"sqlite:///{folder}/{kind}-{mode}-{count}.sqlite3"
        migrate(database)
        env = {
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
        return instructions(folder, kind, count, env)

    with ThreadPoolExecutor(2) as both:
        first, all_of_them = both.map(total, (0, _COUNTED))
    return (all_of_them - first) / _COUNTED


def main() -> int:
    if sys.argv[1:]:
        child(sys.argv[1], int(sys.argv[2]))
    if which("valgrind") is None:
        sys.stderr.write("valgrind is not installed (Debian: apt-get install valgrind)\n")
        return 2
    with tempfile.TemporaryDirectory() as name:
        off, on = (of_a_request(Path(name), "worker", mode) for mode in ("off", "collector"))
        exported = of_a_request(Path(name), "exporter", "collector")
    print(f"{'instructions of a request':28} {'off':>12} {'on':>12}")
    print(f"{'worker':28} {off:12,.0f} {on:12,.0f}   {on / off - 1:+.1%}")
    print(f"{'exporter':28} {0:12,} {exported:12,.0f}   {exported / off:+.1%}")
    print(f"{'off / on':28} {off / (on + exported):25.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
