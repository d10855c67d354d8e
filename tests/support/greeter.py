"""What a request of the service leads to: the greeter that it calls, and the worker of its queue."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.service import ROOT, Service

# As the service of the tests: the last delivery may take longer on a busy machine.
_PATIENT = {"TELEMETRY_FLUSH_TIMEOUT": "15"}


class Greeter(Service):
    """The greeter as its users run it, on a free port; its end waits for the last delivery."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        own = {"DJANGO_SETTINGS_MODULE": "userapi.greeter.settings", "OTEL_SERVICE_NAME": "greeter"}
        super().__init__(folder, "", {**_PATIENT, **env, **own})
        self._command = [sys.executable, "-m", "gunicorn", "-c", "python:telemetry.servers.gunicorn"]
        self._command += ["--no-control-socket", "--bind", f"127.0.0.1:{self.port}", "userapi.greeter.wsgi"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def deliver(folder: Path, database: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Have a worker deliver the greetings that wait in the database, as a service of its own.

    It runs in `folder`: workers of one parent that have the same command are one run to telemetry.
    """
    own = {"DJANGO_SETTINGS_MODULE": "userapi.settings", "OTEL_SERVICE_NAME": "user-api-worker"}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "deliver_greetings", "--once"],
        cwd=folder,
        env={**os.environ, **_PATIENT, **env, **own, "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=False,
    )
