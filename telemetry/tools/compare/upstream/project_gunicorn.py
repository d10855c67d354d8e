"""gunicorn's configuration: the project's own."""

from telemetry.tools.compare.upstream import project

globals().update(project.gunicorn_configuration())
