#!/usr/bin/env python
"""Django's command-line utility for administrative tasks."""

import os
import secrets
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from telemetry import lifecycle


def main(arguments: list[str]) -> None:
    """Run the command that `arguments` name; a wrong variable ends it with one line."""
    if arguments[1:2] == ["demo"]:
        from telemetry.demo.environment import prepare

        prepare(arguments[2:])
    if arguments[1:2] == ["doctor"] and not os.environ.get("DJANGO_SECRET_KEY"):
        # It signs nothing, and is run where the service's secrets are not at hand.
        os.environ["DJANGO_SECRET_KEY"] = secrets.token_urlsafe(50)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")
    try:
        _ = settings.INSTALLED_APPS
    except ImproperlyConfigured as error:
        sys.exit(f"{arguments[0]}: {error}")
    if arguments[1:2] == ["runserver"]:
        lifecycle.load_config()  # the reloader would wait for a better value for ever
    execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv)
