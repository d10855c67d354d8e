"""`manage.py compare` as a process of its own, comparisons in this one, and reports to look at."""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from telemetry.tools.compare.arguments import add_arguments, add_service_arguments, options_of
from telemetry.tools.compare.options import Options
from telemetry.tools.compare.progress import Progress
from telemetry.tools.compare.scenarios.context import Context
from telemetry.tools.compare.session import Session
from telemetry.tools.compare.setups.database import Database, database
from telemetry.tools.compare.setups.project import Project
from tests.support.service import ROOT


@dataclass(frozen=True)
class Ended:
    """A comparison that has ended; `report` is empty where none was written."""

    code: int
    output: str
    report: dict[str, Any]


SHORT = (
    *("--duration", "0.5", "--interval", "0.5", "--rate", "20", "--rounds", "1", "--workers", "1"),
    *("--set", "OTEL_BSP_SCHEDULE_DELAY=300", "OTEL_BLRP_SCHEDULE_DELAY=300"),
)


def command(output: Path, *arguments: str) -> list[str]:
    return [sys.executable, "manage.py", "compare", "--output", str(output), *arguments]


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., Ended]:
    """A function that runs the command to its end, with short times unless the arguments say otherwise."""

    def run(*arguments: str) -> Ended:
        folder = tmp_path / "report"
        ended = subprocess.run(
            command(folder, *SHORT, *arguments), cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
        )
        written = folder / "report.json"
        report = json.loads(written.read_text()) if written.exists() else {}
        return Ended(ended.returncode, ended.stdout + ended.stderr, report)

    return run


class Migrated(Project):
    """The service whose SQLite file has its tables already."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def database(self, given: str, folder: Path) -> Database:
        def copy(url: str) -> None:
            shutil.copyfile(self._file, url.removeprefix("sqlite:///"))

        return database(given, folder, copy) if given == "sqlite" else super().database(given, folder)


@pytest.fixture
def measure(tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """A function that runs a comparison in this process and returns its report: nothing is imported anew, or drawn."""

    def run(*arguments: str) -> dict[str, Any]:
        given = ["--output", str(tmp_path), *SHORT, *arguments]
        monkeypatch.setattr(sys, "argv", ["manage.py", "compare", *given])
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        add_service_arguments(parser)
        options = options_of(vars(parser.parse_args(given)), "manage.py")
        return Session(options, Progress(io.StringIO()), Migrated(migrated_sqlite), lambda _: None).run()

    return run


@pytest.fixture
def context() -> Context:
    """A comparison of a collector and direct that runs one set-up after the other, without what runs them."""
    options = Options(Path(), variants=("collector-grpc", "direct"), faults=("calm",), quick=True, service_port=1)
    missing = dict.fromkeys(("processes", "folder", "interruption", "database", "project", "stack"))
    progress: Any = SimpleNamespace(say=lambda _: None)
    return Context(options, progress=progress, **missing)  # type: ignore[arg-type]


def cost_runs(*values: float) -> list[dict[str, Any]]:
    """Runs of the scenario cost, one in each round, whose every metric has these values."""
    names = ["cpu", "throughput", "p50", "p95", "p99", "memory", "start", "stop", "sent_bytes"]
    names += ["total_cpu", "total_memory", "total_bytes"]
    others = {"collector_cpu": 0.0002, "requests": 100, "late": 0.0}
    return [{"round": number, **dict.fromkeys(names, value), **others} for number, value in enumerate(values, 1)]
