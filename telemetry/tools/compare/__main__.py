"""`python -m telemetry.tools.compare`: the comparison of a reader's own Django project.

Started in the project's folder; the project has the package's two lines in its WSGI module.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from telemetry.tools.compare.arguments import UsageError, add_arguments, options_of, split_options
from telemetry.tools.compare.environment import isolate
from telemetry.tools.compare.load.mix import Request
from telemetry.tools.compare.load.requests_file import ACCEPTED, RequestsError, quoted, read_requests
from telemetry.tools.compare.program import ProgramError, check_packages, run
from telemetry.tools.compare.setups.project import OwnProject

_PROGRAM = "python -m telemetry.tools.compare"


def main() -> int:
    """Compare, and return the exit code."""
    parser = argparse.ArgumentParser(
        _PROGRAM, description="Compare off, collector and direct with what people run today, on your Django project."
    )
    parser.add_argument("--wsgi", required=True, metavar="MODULE[:NAME]", help="your WSGI application: shop.wsgi")
    parser.add_argument("--settings", required=True, metavar="MODULE", help="your settings: shop.settings")
    parser.add_argument(
        "--requests",
        required=True,
        type=Path,
        metavar="FILE",
        help=f"a Locust file (.py), or one with a request on each line: {ACCEPTED}",
    )
    parser.add_argument("--probe", metavar="PATH", help="what shows that it is up, with a Locust file (/)")
    parser.add_argument("--gunicorn", default="", metavar="FILE", help="your gunicorn configuration")
    parser.add_argument(
        "--gunicorn-options",
        type=split_options,
        default=[],
        metavar="OPTIONS",
        help="such as '--worker-class gthread --threads 4'",
    )
    parser.add_argument("--metrics-path", default="/metrics", metavar="PATH", help="of direct mode (%(default)s)")
    add_arguments(parser)
    given = vars(parser.parse_args())
    if given["gunicorn"] and not Path(given["gunicorn"]).is_file():
        parser.error(f"--gunicorn {given['gunicorn']} is no file; expected the path of a gunicorn configuration")
    sys.path.insert(0, str(Path.cwd()))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    try:
        check_packages(given)
        requests, locustfile = _requests_of(given["requests"].absolute(), given["probe"])
        options = options_of(given, _PROGRAM)
    except (UsageError, RequestsError, ProgramError) as error:
        parser.error(str(error))
    isolate()
    project = OwnProject(
        given["wsgi"],
        given["settings"],
        requests,
        str(Path(given["gunicorn"]).absolute()) if given["gunicorn"] else "",
        given["gunicorn_options"],
        quoted(given["metrics_path"]),
        locustfile,
    )
    try:
        return run(options, project)
    except ProgramError as error:
        parser.error(str(error))


def _requests_of(path: Path, probe: str | None) -> tuple[list[Request], str]:
    """Return the requests and the path of the Locust file, empty if there is none; raises RequestsError."""
    if path.suffix != ".py":
        if probe is not None:
            raise RequestsError("--probe belongs to a Locust file; else the first GET shows that it is up")
        return read_requests(path), ""
    probe = "/" if probe is None else probe
    if not probe.startswith("/"):
        raise RequestsError(f"--probe is {probe!r}; expected a path that begins with /")
    # In a separate process: Locust patches the standard library.
    checked = subprocess.run(  # noqa: S603  (the path is an argument of ours)
        [sys.executable, "-m", "telemetry.tools.compare.load.locust_users", str(path)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if checked.returncode:
        raise RequestsError(checked.stderr.strip().rpartition("\n")[2])
    return [Request("GET", quoted(probe), "", 0)], str(path)


if __name__ == "__main__":
    sys.exit(main())
