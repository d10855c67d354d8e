"""`manage.py compare`: “collector or direct?”, measured. `manage.py` calls `environment.prepare` for it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from telemetry.tools.compare.arguments import UsageError, add_arguments, add_service_arguments, check_merge, options_of
from telemetry.tools.compare.program import ProgramError, check_packages, run
from telemetry.tools.compare.setups.project import Project


class Command(BaseCommand):
    """Runs the same load against every set-up and writes a report.

    Exit code 0 if all counts add up, 1 if not or if the comparison could not run, 2 for a wrong command line, 130 after
    Ctrl-C.
    """

    help = (
        "Compare off, collector and direct with common alternatives on this machine: cost, freshness, loss, scale, and "
        "advice based on the figures."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        add_arguments(parser)
        add_service_arguments(parser)

    def handle(self, **given: Any) -> None:
        """Run, write the report and end with the verdict."""
        try:
            if given["merge"]:
                check_merge(given)
                self._merge(given["merge"])
                return
            check_packages(given)
            code = run(options_of(given, "manage.py"), Project())
        except (UsageError, ProgramError) as error:
            raise CommandError(str(error)) from None
        sys.exit(code)

    def _merge(self, paths: Sequence[Path]) -> None:
        from telemetry.tools.compare.figures.merge import MergeError, as_table, read

        try:
            self.stdout.write(as_table(read(paths)), ending="")
        except MergeError as error:
            raise CommandError(str(error)) from None
