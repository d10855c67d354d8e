"""`manage.py traffic HOST:PORT ...`: the demo's traffic for services that run elsewhere, such as those of Compose."""

import argparse
import socket
import sys
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from telemetry.tools.traffic import arguments
from telemetry.tools.traffic.client import CountingClient
from telemetry.tools.traffic.interruption import Interruption
from telemetry.tools.traffic.visits import Traffic

_POLL = 0.2
_REPORT_SECONDS = 60.0
_TIDY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """One service to send to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def known(self) -> bool:
        """Whether its name can be resolved: that of a service that was not started cannot."""
        try:
            socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror:
            return False
        return True


class Command(BaseCommand):
    """Sends the same stories to every service at the same rate, and removes the users that they created.

    Exit code 0 if every request got an answer other than a server error, 1 if not, 2 for a wrong command line.
    """

    help = "Send requests at a bounded rate for a bounded time; Ctrl-C ends it with the counts."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument(
            "targets",
            nargs="+",
            type=_target,
            metavar="HOST:PORT",
            help="unresolvable ones are skipped",
        )
        parser.add_argument(
            "--rate", type=arguments.rate, default=5.0, help="requests per second and service (%(default)s)"
        )
        parser.add_argument("--greetings", action="store_true", help="also greet users, if the services have a greeter")
        parser.add_argument(
            "--for",
            dest="seconds",
            type=arguments.seconds,
            default=3600.0,
            metavar="SECONDS",
            help="how long (%(default)s)",
        )

    def handle(self, *, targets: list[Target], rate: float, seconds: float, greetings: bool, **_: Any) -> None:
        """Send until the time is over or a signal arrives."""
        known = [target for target in targets if target.known]
        if not known:
            sys.exit(f"traffic: cannot resolve {', '.join(target.host for target in targets)}")
        with Interruption() as interruption:
            clients = {target: CountingClient(target.port, target.host) for target in known}
            senders = [Traffic(client, target.host, rate, greetings=greetings) for target, client in clients.items()]
            for target in known:
                print(f"{rate:g} requests per second to {target} for {seconds:g} s", flush=True)
            for sender in senders:
                sender.start()
            end = monotonic() + seconds
            while not interruption.wait(min(_REPORT_SECONDS, max(0.0, end - monotonic()))) and monotonic() < end:
                _report(clients)
            for sender in senders:
                sender.stop()
            deadline = monotonic() + _TIDY_SECONDS
            while any(sender.running for sender in senders) and monotonic() < deadline:
                sleep(_POLL)
        _report(clients)
        sys.exit(any(client.sent.failures or client.sent.server_errors for client in clients.values()))


def _report(clients: dict[Target, CountingClient]) -> None:
    for target, client in clients.items():
        sent = client.sent
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(sent.statuses.items()))
        failures = f"; {sent.failures} without an answer ({sent.last_failure})" if sent.failures else ""
        print(f"{target}: {sent.requests} requests: {statuses or 'no answers'}{failures}", flush=True)


def _target(text: str) -> Target:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):  # noqa: PLR2004  (ports)
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected HOST:PORT")
    return Target(host, int(port))
