"""`manage.py telemetry`: the configuration that the environment gives, and the status of the running service."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from telemetry.config import TelemetryConfig
from telemetry.config.report import as_data, as_text
from telemetry.status import read_statuses
from telemetry.status_report import as_text as status_as_text


class Command(BaseCommand):
    help = "Show the effective telemetry configuration: each value with its source, without secrets."
    # It is what people run when the checks fail.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as one JSON object")
        parser.add_argument(
            "--status",
            action="store_true",
            help="ask the running service instead: journals, spools, losses, last success and last error by signal",
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if options["status"]:
            self._status(as_json=options["json"])
            return
        if errors := TelemetryConfig.errors():
            raise CommandError("\n".join(map(str, errors)))
        config = TelemetryConfig.from_env()
        self.stdout.write(json.dumps(as_data(config), indent=2) if options["json"] else as_text(config))

    def _status(self, *, as_json: bool) -> None:
        statuses = read_statuses()
        if not statuses:
            raise CommandError(
                "no running service answers; start one as this user, from this directory, with a "
                "TELEMETRY_MODE other than off"
            )
        self.stdout.write(json.dumps({"services": statuses}, indent=2) if as_json else status_as_text(statuses))
