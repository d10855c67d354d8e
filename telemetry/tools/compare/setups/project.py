"""The project under comparison: this service, or any other Django project; how it is started, and its requests."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from telemetry.tools.compare.load.mix import DESCRIPTION, Request
from telemetry.tools.compare.setups.database import Database, DatabaseError, database
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.compare.upstream import HERE, Signal
from telemetry.tools.compare.upstream.project import APPLICATION, GUNICORN, SETTINGS
from telemetry.tools.demo.environment import ROOT


class Project:
    """This service. Each of its requests leaves one span, one access record and one count.

    `gunicorn_options` are added to gunicorn's command line. `folder` is the working directory of its processes.
    """

    settings = "userapi.settings"
    application = "userapi.wsgi"
    gunicorn = str(ROOT / "deploy" / "gunicorn.conf.py")
    environment: Mapping[str, str] = {"USERAPI_OPEN_ACCESS": "true"}
    countable: frozenset[Signal] = frozenset({"spans", "log records", "counter"})
    """The signals of which each request leaves exactly one item."""
    probe = "/livez"
    """The request that shows that it is up."""
    probe_is_counted = False
    """Whether the probe leaves telemetry like any other request."""
    metrics_path = "/metrics"
    folder = ROOT
    mix = DESCRIPTION
    requests: Sequence[Request] = ()
    """The requests of its load; empty for the service's own mix."""
    locustfile = ""
    """The Locust file whose users make its load; `requests` then serve as single requests only."""
    gunicorn_options: Sequence[str] = ()

    def database(self, given: str, folder: Path) -> Database:
        """Return an object that makes a database for each run; `given` is the value of `--database`."""
        return database(given, folder, migrate)

    def database_environment(self, fresh: str) -> dict[str, str]:
        """Return the environment that makes a run use its own database."""
        return {"DATABASE_URL": fresh, "COMPARE_DATABASE_ENGINE": fresh.partition(":")[0]}

    def environment_of(self, variant: Variant, env: Mapping[str, str]) -> dict[str, str]:
        """Return `env` with the additions that a set-up needs."""
        upstream = variant.upstream
        if upstream is None:
            return self._own_environment(env)
        return {
            **self._own_environment(env),
            GUNICORN: self.gunicorn,
            SETTINGS: self.settings,
            APPLICATION: self.application,
            "DJANGO_SETTINGS_MODULE": upstream.settings or self._settings_module,
        }

    def _own_environment(self, env: Mapping[str, str]) -> dict[str, str]:
        return dict(env)

    @property
    def _settings_module(self) -> str:
        return self.settings

    def gunicorn_of(self, variant: Variant) -> str:
        """Return gunicorn's configuration for a set-up: a path, or `python:` and a module."""
        return f"python:{variant.upstream.gunicorn}" if variant.upstream else self.gunicorn

    def application_of(self, variant: Variant) -> str:
        """Return the WSGI application that gunicorn loads for a set-up."""
        return (variant.upstream.application if variant.upstream else "") or self.application


class OwnProject(Project):
    """A reader's project. Its log records per request are not known, so only its spans and counts must be complete."""

    countable = frozenset({"spans", "counter"})
    environment: Mapping[str, str] = {}
    probe_is_counted = True

    def __init__(  # noqa: PLR0917
        self,
        application: str,
        settings: str,
        requests: Sequence[Request],
        gunicorn: str,
        gunicorn_options: Sequence[str],
        metrics_path: str,
        locustfile: str,
    ) -> None:
        self.application = application
        self.settings = settings
        self.requests = requests
        self.probe = next((one.path for one in requests if one.method == "GET" and not one.is_numbered), "/")
        self.gunicorn = gunicorn
        self.gunicorn_options = gunicorn_options
        self.metrics_path = metrics_path
        self.folder = Path.cwd()
        self.locustfile = locustfile
        self.mix = (
            f"the users of {Path(locustfile).name}"
            if locustfile
            else f"{len(requests)} requests of the reader's own, in turn"
        )

    def database(self, given: str, folder: Path) -> Database:
        """Return copies of the project's own database; `given` is ignored."""
        from telemetry.tools.compare.setups.own_database import own_database

        del given
        return own_database(self.settings, self.application, folder)

    def database_environment(self, fresh: str) -> dict[str, str]:
        from telemetry.tools.compare.upstream.project import DATABASE_NAME

        if not fresh:
            return {}
        engine, _, name = fresh.partition(":")
        return {DATABASE_NAME: name, "COMPARE_DATABASE_ENGINE": engine}

    def _own_environment(self, env: Mapping[str, str]) -> dict[str, str]:
        return {**env, SETTINGS: self.settings, "DJANGO_SETTINGS_MODULE": self._settings_module}

    @property
    def _settings_module(self) -> str:
        return f"{HERE}.project_settings"

    def gunicorn_of(self, variant: Variant) -> str:
        return super().gunicorn_of(variant) or f"python:{HERE}.project_gunicorn"


def migrate(url: str) -> None:
    """Create the service's tables in a database, in a separate process; raises DatabaseError."""
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["migrate has failed"]
        raise DatabaseError(f"the service's tables cannot be created: {reason[-1]}")
