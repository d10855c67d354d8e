"""The project's own gunicorn configuration and settings, the basis of a set-up. Imports no Django."""

import os
import runpy
from importlib import import_module
from typing import Any

GUNICORN, SETTINGS, APPLICATION = "COMPARE_GUNICORN", "COMPARE_SETTINGS", "COMPARE_APPLICATION"
"""Variables that name the project's: the path of a file, a module, and `MODULE:NAME`."""
DATABASE_NAME = "COMPARE_DATABASE_NAME"
"""The variable for the database that replaces the project's default one; unset if there is none."""


def gunicorn_configuration() -> dict[str, Any]:
    """Return the names of the project's configuration, without hooks of our own package."""
    path = os.environ.get(GUNICORN)
    found = runpy.run_path(path) if path else {}
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("_") and not str(getattr(value, "__module__", "")).startswith("telemetry.")
    }


def settings() -> dict[str, Any]:
    """Return the project's settings, with the database of this run."""
    module = import_module(os.environ[SETTINGS])
    found = {name: getattr(module, name) for name in dir(module) if name.isupper()}
    if name := os.environ.get(DATABASE_NAME):
        databases = found["DATABASES"]
        found["DATABASES"] = {**databases, "default": {**databases["default"], "NAME": name}}
    return found


def application() -> Any:
    """Return the project's WSGI application."""
    module, _, name = os.environ[APPLICATION].partition(":")
    return getattr(import_module(module), name or "application")
