"""A project that has nothing but telemetry, for processes that are no server."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.support.service import ROOT


def environment(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Write the project's settings into `folder`; return this process's environment and `env`, with them chosen."""
    (folder / "settings.py").write_text('SECRET_KEY = "of the tests"\nINSTALLED_APPS = ["telemetry"]\n')
    return {**os.environ, **env, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": f"{ROOT}:{folder}"}
