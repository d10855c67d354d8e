"""`manage.py deliver_greetings`: the worker of the queue of greetings."""

import signal
import sys
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from telemetry import lifecycle
from userapi.greetings.tasks import work

_IDLE_SECONDS = 0.5


class Command(BaseCommand):
    """Delivers what waits, and what comes, until SIGTERM or SIGINT; what waits then is delivered before its end."""

    help = "Deliver greetings that wait in the database, until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--once", action="store_true", help="deliver what waits, and end")

    def handle(self, *, once: bool, **_: Any) -> None:
        """Work; telemetry begins here, because this process serves no request that would begin it."""
        if not settings.GREETER_URL:
            sys.exit("deliver_greetings: USERAPI_GREETER_URL is not set; expected the greeter's URL")
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        lifecycle.start()
        while True:
            last = once or stopping.is_set()  # asked before the work: what was queued until then is done
            if not work():
                if last:
                    return
                stopping.wait(_IDLE_SECONDS)
