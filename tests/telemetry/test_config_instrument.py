"""TELEMETRY_INSTRUMENT takes what is installed and can run; the rest is refused in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import ROOT
from tests.telemetry.environments import config, error


def named(names: str) -> str:
    return str(error({"TELEMETRY_INSTRUMENT": names}))


@pytest.mark.parametrize(
    ("text", "names"),
    [("requests", ("requests",)), (" Requests, urllib3,requests ", ("requests", "urllib3")), ("none", ()), (",", ())],
)
def test_names(text: str, names: tuple[str, ...]) -> None:
    assert config({"TELEMETRY_INSTRUMENT": text}).instrument == names


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("request", "names request, for which no instrumentation is installed (did you mean requests?)"),
        (
            "requests,pika",
            "names pika, for which no instrumentation is installed (pip install opentelemetry-instrumentation-pika)",
        ),
        ("django", "names django, which is recorded anyway (TELEMETRY_INSTRUMENTATION)"),
        ("two words", "has an entry that is not a name"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    assert named(text) == (
        f"TELEMETRY_INSTRUMENT: {text!r} {reason}; "
        "expected comma-separated names of installed instrumentations, such as requests,httpx,redis, or none"
    )


def test_library_that_is_not_installed(tmp_path: Path) -> None:
    """An instrumentation alone does nothing, and says so at debug level only."""
    info = tmp_path / "opentelemetry_instrumentation_rocket-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: opentelemetry-instrumentation-rocket\nVersion: 1\n"
        "Provides-Extra: instruments\nRequires-Dist: rocket-not-there>=2; extra == 'instruments'\n"
    )
    (info / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nrocket = rocket:Instrumentor\n")
    start = [sys.executable, "-c", "from telemetry.lifecycle import load_config; load_config()"]
    environ = {**os.environ, "TELEMETRY_INSTRUMENT": "rocket", "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(start, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    (line,) = ended.stderr.splitlines()
    assert "'rocket' names rocket, which needs rocket-not-there>=2" in line
    assert "none is installed" in line
    assert ended.returncode == 1


def test_variables_of_what_runs_have_an_effect() -> None:
    given = {"OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "x", "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "x"}
    assert config(given | {"TELEMETRY_INSTRUMENT": "requests"}).warnings == ()
    assert len(config(given).warnings) == 2


def test_contrib_takes_no_link() -> None:
    found = error({"TELEMETRY_INSTRUMENTATION": "contrib", "TELEMETRY_INCOMING_CONTEXT": "link"})
    assert str(found) == (
        "TELEMETRY_INCOMING_CONTEXT: 'link' needs TELEMETRY_INSTRUMENTATION=native; "
        "expected trust or ignore with contrib"
    )


def test_contrib_leaves_options_of_the_native_middleware_without_an_effect() -> None:
    given = {"TELEMETRY_VIEW_NAMES": "true", "OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS": "path_info"}
    read = config(given | {"TELEMETRY_INSTRUMENTATION": "contrib"})
    assert read.warnings == ("TELEMETRY_VIEW_NAMES has no effect with TELEMETRY_INSTRUMENTATION=contrib",)
    (warning,) = config(given).warnings
    assert warning.startswith("OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS has no effect: no instrumentation named django")


def test_contrib_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.config.combined.find", lambda name: None if name == "psycopg" else name)
    found = error({"TELEMETRY_INSTRUMENTATION": "contrib"})
    assert "needs the package opentelemetry-instrumentation-psycopg" in str(found)
