"""A comparison from the checked command line to the exit code."""

import importlib.util
import logging
import sys
from typing import Any

from telemetry.tools.compare.options import Options
from telemetry.tools.compare.progress import Progress
from telemetry.tools.compare.setups.project import Project

_NEEDED = ("jinja2", "locust", "matplotlib", "scipy")
_INTERRUPTED = 130


class ProgramError(Exception):
    """Why a comparison cannot run, or be published; one line."""


def check_packages(given: dict[str, Any]) -> None:
    """Raise ProgramError if a package is missing."""
    collector = ("rotel",) if given["collector"] == "rotel" and not given["alloy"] else ()
    missing = [name for name in (*_NEEDED, *collector) if importlib.util.find_spec(name) is None]
    if missing:
        raise ProgramError(f"missing: {', '.join(missing)}; `make compare` or `make dev` installs what it needs")


def run(options: Options, project: Project) -> int:
    """Compare, write the report, and return the exit code; raises ProgramError."""
    from telemetry.tools.compare.report import save, write
    from telemetry.tools.compare.scenarios.context import StoppedError
    from telemetry.tools.compare.session import BusyError, Session
    from telemetry.tools.compare.setups.database import DatabaseError

    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProgramError(f"--output {options.output} cannot be written: {error.strerror}") from None
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it logs its fonts
    session = Session(options, Progress(sys.stderr), project, lambda part: save(part, options.output))
    try:
        report = session.run()
    except StoppedError:
        sys.stderr.write("interrupted before anything was measured\n")
        return _INTERRUPTED
    except (BusyError, DatabaseError) as error:
        raise ProgramError(str(error)) from None
    try:
        paths = write(report, options.output)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"interrupted while drawing; {options.output}/report.json has every figure, and "
            f"`python -m telemetry.tools.compare.report {options.output}` draws it\n"
        )
        return _INTERRUPTED
    sys.stdout.writelines(f"{path}\n" for path in paths)
    sys.stderr.writelines(f"counts do not add up: {problem}\n" for problem in report["problems"])
    if report["problems"]:
        return 1
    if not report["complete"]:
        return _INTERRUPTED
    if options.publish:
        _publish(report, options)
    return 0


def _publish(report: dict[str, Any], options: Options) -> None:
    """Replace the published report with one that adds up, unless other processes used the machine meanwhile."""
    from telemetry.tools.compare.machine import unfit_to_publish
    from telemetry.tools.compare.report import publish
    from telemetry.tools.demo.environment import ROOT

    if reason := unfit_to_publish(report["machine"]["busy_between_steps"], 0.0):
        raise ProgramError(f"not published; {options.output} has the report. Between its steps {reason}")
    publish(report, ROOT)
