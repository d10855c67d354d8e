"""`manage.py telemetry`: the effective configuration, the running services' status, and the audit."""

import json
from typing import Any

from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser

from telemetry import lifecycle
from telemetry.config import TelemetryConfig
from telemetry.config.report import as_data, as_text
from telemetry.project_report import rows
from telemetry.status import read_statuses
from telemetry.status_report import as_text as status_as_text


class Command(BaseCommand):
    help = "Show the effective telemetry configuration: each value with its source, without secrets."
    # People run it when the checks fail.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--status",
            action="store_true",
            help="show the running service's status: journals, spools, losses, last success and last error by signal",
        )

        parser.add_argument(
            "--audit",
            action="store_true",
            help="compare what was recorded with what the backends store (manage.py audit --help has all options)",
        )
        parser.add_argument("--window", metavar="TIME", help="time to audit, such as 15m, 1h, 2d (1h)")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if options["window"] and not options["audit"]:
            raise CommandError("--window needs --audit", returncode=2)
        if options["status"] and options["audit"]:
            raise CommandError("--status and --audit exclude each other", returncode=2)
        if options["audit"]:
            self._audit(options)
            return
        if options["status"]:
            self._status(as_json=options["json"])
            return
        if errors := TelemetryConfig.errors():
            raise CommandError("\n".join(map(str, errors)))
        config = lifecycle.config_of_project(TelemetryConfig.from_env())
        of_project = rows(lifecycle.project(), config)
        if options["json"]:
            self.stdout.write(json.dumps(as_data(config, of_project), indent=2))
        else:
            self.stdout.write(as_text(config, of_project))

    def _status(self, *, as_json: bool) -> None:
        statuses = read_statuses()
        if not statuses:
            raise CommandError(
                "no running service answers; start one as this user, from this directory, with a "
                "TELEMETRY_MODE other than off"
            )
        self.stdout.write(json.dumps({"services": statuses}, indent=2) if as_json else status_as_text(statuses))

    @staticmethod
    def _audit(options: dict[str, Any]) -> None:
        # By name, without an import, as an image may omit the tools.
        if "audit" not in get_commands():
            raise CommandError('--audit needs "telemetry.tools" in INSTALLED_APPS')
        given = [f"--window={options['window']}"] if options["window"] else []
        try:
            call_command("audit", *given, *(["--json"] if options["json"] else []))
        except CommandError as error:
            # It prints its results itself: this is about the arguments, as at its own command line.
            raise CommandError(str(error).removeprefix("Error: "), returncode=2) from None
