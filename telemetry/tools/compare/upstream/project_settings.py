"""Django's settings: the project's own, on a copy of its database."""

from telemetry.tools.compare.upstream import project

globals().update(project.settings())
