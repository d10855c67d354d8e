"""`manage.py deliver_greetings`: the worker of the greetings' task queue."""

import logging
import signal
import sys
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections

from telemetry import lifecycle
from userapi.greetings.tasks import work

_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Delivers waiting and new tasks until SIGTERM or SIGINT; those queued by then are still delivered."""

    help = "Deliver greetings that wait in the database, until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's options."""
        parser.add_argument("--once", action="store_true", help="deliver what waits, and end")

    def handle(self, *, once: bool, **_: Any) -> None:
        """Work; starts telemetry, because this process serves no request that would start it."""
        if not settings.GREETER_URL:
            sys.exit("deliver_greetings: USERAPI_GREETER_URL is not set; expected the greeter's URL")
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        lifecycle.start()
        while True:
            last = once or stopping.is_set()  # checked before the work, so that tasks queued by then are done
            close_old_connections()  # as between requests: the database may have been restarted or replaced
            try:
                worked = work()
            except (OperationalError, InterfaceError) as error:
                if once:
                    raise
                logger.warning("the database does not answer; its tasks wait", exc_info=error)
                if last:
                    return
                stopping.wait(_RETRY_SECONDS)
                continue
            if not worked:
                if last:
                    return
                stopping.wait(_IDLE_SECONDS)
