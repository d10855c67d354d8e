"""`manage.py audit`, also `manage.py telemetry --audit`: is everything that was recorded stored?"""

import argparse
import json
import re
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from telemetry.tools.audit.audit import AuditError, audit
from telemetry.tools.audit.report import report_data, report_text
from telemetry.tools.doctor import arguments
from telemetry.tools.doctor.places import NONE, Places, described

_SERVERS = ("service", "prometheus", "tempo", "jaeger", "loki", "console")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW = 3600.0
_MOST_SECONDS = 7 * 86400
_LEAST_SECONDS = 10


class Command(BaseCommand):
    """Exit code 0 if every signal meets the objective, 1 if not or if it is unknown, 2 for a wrong command line."""

    help = (
        "Compare what the service recorded in the last hour with what Prometheus, Tempo or Jaeger, and Loki (or the "
        "console) have stored: how much of each signal is there, what is missing and why, and what arrived twice."
    )
    # People run it when something is wrong.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument(
            "--window", type=window, metavar="TIME", help="15m, 1h, 2d, ... (1h); no effect with a console"
        )
        parser.add_argument(
            "--objective",
            type=_percentage,
            default=99.9,
            metavar="PERCENT",
            help="that count as complete (%(default)s)",
        )
        parser.add_argument("--alloy", choices=(NONE,), help="Prometheus has no counts of an Alloy")
        for name in _SERVERS:
            parser.add_argument(f"--{name}", metavar="URL", help=described(name))
        parser.add_argument(
            "--timeout", type=arguments.seconds, default=30.0, metavar="SECONDS", help="for each request (%(default)s)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, **options: Any) -> None:
        """Audit, print, and end with the exit code."""
        try:
            places = Places.read({name: options[name] for name in (*_SERVERS, "alloy")}, options["timeout"])
        except ValueError as error:
            print(f"audit: {error}", file=sys.stderr)
            sys.exit(2)
        try:
            found = audit(places, _WINDOW if options["window"] is None else options["window"])
        except AuditError as error:
            print(f"audit: {error}", file=sys.stderr)
            sys.exit(1)
        if found.is_whole and options["window"] is not None:
            print("audit: --window has no effect: the console counts since its start", file=sys.stderr)
        objective = options["objective"]
        if options["json"]:
            print(json.dumps(report_data(found, objective / 100), indent=2))
        else:
            print(report_text(found, objective))
        sys.exit(not found.meets(objective / 100))


def window(text: str) -> float:
    """Return a time such as `1h` in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected 10s to 7d, such as 15m, 1h, 2d")
    return seconds


def _percentage(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected a percentage above 0, up to 100")
    return value
