"""`manage.py doctor`: follow one request from the service to Grafana, and report where it stops."""

import json
import logging
import os
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from telemetry.tools.doctor import arguments
from telemetry.tools.doctor.doctor import Doctor
from telemetry.tools.doctor.places import KINDS, Places, described
from telemetry.tools.doctor.report import as_data, passed
from telemetry.tools.doctor.screen import Screen
from telemetry.tools.doctor.service import PATH
from telemetry.tools.doctor.walk import Walk

_INTERRUPTED = 130


class Command(BaseCommand):
    """Exit code 0 if no hop failed, 1 if one did, 2 for a wrong command line or URL, 130 after Ctrl-C."""

    help = (
        "Send one request to the running service and look for it at every hop of the current mode; "
        "report where it stops and what to change."
    )
    # People run it when the checks fail.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        for name in KINDS:
            parser.add_argument(f"--{name}", metavar="URL", help=described(name))
        parser.add_argument(
            "--path", type=arguments.path, default=PATH, help="path to request; it should write nothing (%(default)s)"
        )
        parser.add_argument(
            "--wait",
            type=arguments.seconds,
            metavar="SECONDS",
            help="time for telemetry to arrive (from the configuration)",
        )
        parser.add_argument(
            "--timeout", type=arguments.seconds, default=10.0, metavar="SECONDS", help="for each request (%(default)s)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, **options: Any) -> None:
        """Check every hop, and end with the exit code."""
        try:
            places = Places.read({name: options[name] for name in KINDS}, options["timeout"])
        except ValueError as error:
            print(f"doctor: {error}", file=sys.stderr)
            sys.exit(2)
        screen = Screen(None if options["json"] else sys.stdout)
        walk = Walk(screen)
        doctor = Doctor(places, walk, options["path"], options["wait"])
        # The doctor reports failures itself; what exporters and clients log would mix with that.
        logging.disable(logging.CRITICAL)
        before = signal.signal(signal.SIGINT, _leave)
        try:
            doctor.run()
        finally:
            signal.signal(signal.SIGINT, before)
            screen.close()
            logging.disable(logging.NOTSET)
        if options["json"]:
            service = doctor.service.base if doctor.service else ""
            data = as_data(walk.results, mode=doctor.mode, service=service, trace_id=doctor.trace_id)
            print(json.dumps(data, indent=2))
        else:
            screen.summary(walk.results, doctor.trace_id)
        sys.exit(not passed(walk.results))


def _leave(*_: object) -> None:
    """End at once: a KeyboardInterrupt would be lost if Python ran a finalizer, and the doctor would keep waiting."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\n")  # the progress keeps its line
    os._exit(_INTERRUPTED)
