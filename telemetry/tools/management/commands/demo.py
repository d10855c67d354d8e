"""`manage.py demo`: see both pipelines at work on a bare machine. `manage.py` calls `environment.prepare` for it."""

import json
import secrets
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections

from telemetry.tools.demo.environment import add_place_arguments, database_file, demo_folder
from telemetry.tools.demo.ports import MODES, Ports
from telemetry.tools.demo.session import Demo, DemoError, Options
from telemetry.tools.demo.show import Screen
from telemetry.tools.traffic import arguments


class Command(BaseCommand):
    """Starts console and services, sends traffic, shows what arrives, and ends with a tally.

    Exit code 0 if everything arrived, 1 if not or if the demo could not run, 2 for a wrong command line.
    """

    help = "Run the service in both modes with a console and some traffic; Ctrl-C ends it with a tally."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--mode", choices=[*MODES, "both"], default="both", help="what to run (%(default)s)")
        parser.add_argument(
            "--for", dest="seconds", type=arguments.seconds, metavar="SECONDS", help="stop after that long"
        )
        parser.add_argument("--json", action="store_true", help="print the tally as JSON, everything else to stderr")
        parser.add_argument(
            "--rate", type=arguments.rate, default=10.0, help="requests per second and mode (%(default)s)"
        )
        add_place_arguments(parser)

    def handle(self, **given: Any) -> None:
        """Run until the time is over or a signal arrives."""
        options = Options(
            modes=MODES if given["mode"] == "both" else (given["mode"],),
            seconds=given["seconds"],
            rate=given["rate"],
            ports=Ports(given["port_offset"]),
            folder=demo_folder(given["folder"], given["port_offset"]),
        )
        if settings.DATABASES["default"]["NAME"] != str(database_file(options.folder)):
            sys.exit("demo: uses a database of its own: start it with manage.py, which sets DATABASE_URL")
        screen = Screen(sys.stderr if given["json"] else sys.stdout)
        try:
            tally = Demo(
                options, screen, _set_up_database, settings=settings.SETTINGS_MODULE, application=_application()
            ).run()
        except DemoError as error:
            sys.exit(f"demo: {error}")
        screen.tally(tally)
        if given["json"]:
            print(json.dumps(tally.as_json()), flush=True)
        sys.exit(bool(tally.reasons()))


def _set_up_database() -> str:
    """Migrate, and give the account `admin` a new password, which is returned."""
    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(9)
    accounts = get_user_model().objects
    admin = accounts.filter(username="admin").first() or accounts.model(username="admin")
    admin.is_active = admin.is_staff = admin.is_superuser = True
    admin.set_password(password)
    admin.save()
    connections.close_all()
    return password


def _application() -> str:
    """Return the WSGI application in the package of the settings."""
    return f"{settings.SETTINGS_MODULE.rpartition('.')[0]}.wsgi"
