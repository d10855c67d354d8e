"""`manage.py telemetry`: the configuration that the environment gives."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from telemetry.config import TelemetryConfig
from telemetry.config.report import as_data, as_text


class Command(BaseCommand):
    help = "Show the effective telemetry configuration: each value with its source, without secrets."
    # It is what people run when the checks fail.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if errors := TelemetryConfig.errors():
            raise CommandError("\n".join(map(str, errors)))
        config = TelemetryConfig.from_env()
        self.stdout.write(json.dumps(as_data(config), indent=2) if options["json"] else as_text(config))
