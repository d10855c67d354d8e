"""One run of the demo, from the check of its ports to the verdict."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

from telemetry.status import is_delivering
from telemetry.tools.demo.arrivals import Arrivals
from telemetry.tools.demo.environment import METRIC_SECONDS, hop_environment, service_environment
from telemetry.tools.demo.ports import HOST, Mode, Ports, busy_port
from telemetry.tools.demo.processes import Child, ChildEndedError, Processes
from telemetry.tools.demo.show import Screen, links
from telemetry.tools.demo.tally import ModeTally, Tally
from telemetry.tools.traffic.client import CountingClient, call
from telemetry.tools.traffic.interruption import Interruption
from telemetry.tools.traffic.visits import SampleUsers, Traffic

_OK = 200
_POLL = 0.05
_READY_SECONDS = 60.0
# Longer than the service's graceful timeout, after which it has killed its workers.
_STOP_SECONDS = 40.0


class DemoError(Exception):
    """The demo cannot run; one line."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line. `seconds` of traffic, None until stopped; `rate` is per second and mode."""

    modes: tuple[Mode, ...]
    seconds: float | None
    rate: float
    ports: Ports
    folder: Path


class Demo:
    """Runs once. `set_up` makes the database ready and returns the admin's password.

    `settings` is the service's settings module, `application` its WSGI name.
    """

    def __init__(
        self, options: Options, screen: Screen, set_up: Callable[[], str], *, settings: str, application: str
    ) -> None:
        self._options = options
        self._ports = options.ports
        self._screen = screen
        self._set_up = set_up
        self._settings = settings
        self._application = application
        self._arrivals = Arrivals(options.ports.console)
        self._clients = {mode: CountingClient(options.ports.service(mode)) for mode in options.modes}
        self._services: dict[Mode, Child] = {}
        self._troubles: list[str] = []

    def run(self) -> Tally:
        """Run, and leave nothing running; raises DemoError if it cannot start."""
        busy = busy_port(self._ports.used(self._options.modes))
        if busy:
            raise DemoError(busy)
        with Interruption() as interruption, Processes(self._options.folder) as processes:
            self._interruption = interruption
            self._processes = processes
            try:
                password = self._start()
            except ChildEndedError as error:
                raise DemoError(self._explained(error)) from None
            self._print_links(password)
            seconds = self._send()
            scraped = self._stop_services()
            return self._count_and_stop_console(seconds, scraped)

    def _start(self) -> str:
        ports = self._ports
        arguments = ["manage.py", "console", "--host", HOST, "--grpc-port", str(ports.otlp_grpc)]
        arguments += ["--http-port", str(ports.otlp_http), "--api-port", str(ports.console)]
        if "direct" in self._options.modes:
            arguments += [
                "--scrape",
                f"direct=http://{HOST}:{ports.direct}/metrics",
                "--scrape-interval",
                str(METRIC_SECONDS),
            ]
        self._screen.line("Starting ...")
        self._console = self._processes.start("the console", "console.log", arguments, {})
        password = self._set_up()
        self._wait_until_ready(self._console, ports.console, "/healthz")
        for mode in self._options.modes:
            arguments = ["-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "--preload", "--workers", "2"]
            arguments += ["--bind", f"{HOST}:{ports.service(mode)}", self._application]
            self._services[mode] = self._processes.start(
                f"the service in {mode} mode", f"{mode}.log", arguments, self._environment(mode)
            )
        self._start_hop()
        for mode, service in self._services.items():
            self._wait_until_ready(service, ports.service(mode), "/readyz")
        self._wait_until_ready(self._greeter, ports.greeter, "/livez")
        return password

    def _start_hop(self) -> None:
        """Start the downstream services: the greeter that the service calls, and the worker of its queue."""
        ports = self._ports
        arguments = ["-m", "gunicorn", "-c", "python:telemetry.servers.gunicorn", "--no-control-socket"]
        arguments += ["--bind", f"{HOST}:{ports.greeter}", "userapi.greeter.wsgi"]
        environment = hop_environment(ports, "greeter", "userapi.greeter.settings")
        self._greeter = self._processes.start("the greeter", "greeter.log", arguments, environment)
        environment = hop_environment(ports, "user-api-worker", self._settings)
        arguments = ["manage.py", "deliver_greetings"]
        self._worker = self._processes.start("the worker", "worker.log", arguments, environment)

    def _environment(self, mode: Mode) -> dict[str, str]:
        own = {"DEMO_SERVICE_SETTINGS": self._settings, "DJANGO_SETTINGS_MODULE": "telemetry.tools.demo.settings"}
        return service_environment(mode, self._ports) | own

    def _wait_until_ready(self, child: Child, port: int, path: str) -> None:
        deadline = monotonic() + _READY_SECONDS
        while not _answers(port, path):
            self._processes.check()
            if self._interruption.asked:
                raise DemoError("stopped before anything was sent")
            if monotonic() > deadline:
                raise DemoError(f"{child.name} was not ready after {_READY_SECONDS:.0f} s; its log is {child.log}")
            sleep(0.1)
        # Another process may have answered: ours must be running.
        self._processes.check()

    def _explained(self, error: ChildEndedError) -> str:
        """Return the reason for an end: another process may have taken a port since the check."""
        ports = next(
            (self._ports.of_service(mode) for mode, child in self._services.items() if child is error.child),
            self._ports.of_others(),
        )
        busy = busy_port(ports)
        if busy:
            return busy
        self._show_log(error.log)
        return str(error)

    def _print_links(self, password: str) -> None:
        screen = self._screen
        screen.line()
        screen.title("User API, one service with two telemetry pipelines. Ctrl-C stops everything.")
        screen.line()
        for line in links(self._ports, self._options.modes, self._options.folder, password):
            screen.line(line)
        screen.line()

    def _send(self) -> float:
        """Send traffic until it is time to stop or a process ends unexpectedly; return the duration in seconds."""
        options = self._options
        started = monotonic()
        samples = SampleUsers(self._clients[options.modes[0]])
        self._watch([samples], lambda: samples.running)
        if samples.made:
            self._screen.line(f"Made {samples.made} sample users.")
        if not self._interruption.asked and not self._troubles:
            traffic = [
                Traffic(self._clients[mode], mode, options.rate, failures=True, greetings=True)
                for mode in options.modes
            ]
            started = monotonic()
            ends = None if options.seconds is None else started + options.seconds
            self._watch(traffic, lambda: ends is None or monotonic() < ends)
        return monotonic() - started

    def _watch(self, senders: Sequence[Traffic | SampleUsers], more: Callable[[], bool]) -> None:
        """Let them send as long as there is `more` to do, without interruption, while every process runs."""
        started = monotonic()
        for sender in senders:
            sender.start()
        shown = started
        try:
            while more() and not self._interruption.wait(_POLL):
                self._processes.check()
                if monotonic() - shown >= self._screen.interval:
                    shown = monotonic()
                    self._show(shown - started)
        except ChildEndedError as error:
            self._show_log(error.log)
            self._troubles.append(str(error))
        for sender in senders:
            sender.stop()
        while any(sender.running for sender in senders) and not self._interruption.hurried:
            sleep(_POLL)

    def _show(self, seconds: float) -> None:
        self._arrivals.refresh()
        self._arrivals.refresh_drops(self._options.modes)
        notes = {
            "spans and log records dropped by the service": sum(map(self._arrivals.dropped, self._options.modes)),
            "exports refused by the console": self._arrivals.refused,
            "old records evicted by the console": self._arrivals.evicted,
        }
        note = ", ".join(f"{count:,} {what}" for what, count in notes.items() if count)
        self._screen.live(seconds, self._tallies(), f"  {note}")

    def _stop_services(self) -> datetime | None:
        """Scrape for the last time and stop the services, which send what they hold; return the time of the scrape.

        The worker ends first, when the queue is empty, then the greeter, which is no longer called.
        """
        self._screen.line("Stopping: traffic has ended, now the services ...")
        for child in (self._worker, self._greeter):
            child.stop()
            self._note_end(child)
        scraped = None
        if "direct" in self._services and not self._interruption.hurried:
            try:
                scraped = self._arrivals.scrape()
            except OSError as error:
                self._troubles.append(f"direct: {error}")
        for service in self._services.values():
            service.stop()
        for service in self._services.values():
            self._note_end(service)
        # Servers wait for the delivery; the worker's exporter outlives it.
        deadline = monotonic() + _STOP_SECONDS
        while is_delivering(os.getpid()) and monotonic() < deadline and not self._interruption.hurried:
            sleep(_POLL)
        return scraped

    def _note_end(self, child: Child) -> None:
        trouble = child.wait(_STOP_SECONDS, lambda: self._interruption.hurried)
        # An unexpected end has been reported already.
        if trouble and not any(known.startswith(child.name) for known in self._troubles):
            self._show_log(child.last_lines())
            self._troubles.append(trouble)

    def _show_log(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._screen.line(f"  | {line}")

    def _count_and_stop_console(self, seconds: float, scraped: datetime | None) -> Tally:
        silence = self._arrivals.refresh()
        if silence:
            self._troubles.append(f"{silence}; the counts are the last ones known")
        else:
            self._arrivals.refresh_drops(self._options.modes)
        late: dict[Mode, int] = {"direct": self._arrivals.visits_since("direct", scraped)} if scraped else {}
        self._console.stop()
        self._note_end(self._console)
        return Tally(self._tallies(late), seconds, tuple(self._troubles))

    def _tallies(self, late: dict[Mode, int] | None = None) -> dict[Mode, ModeTally]:
        return {
            mode: ModeTally(
                client.sent,
                self._arrivals.of(mode),
                self._arrivals.dropped(mode),
                (late or {}).get(mode, 0),
                # The greeter runs once, in collector mode, whoever calls it.
                sum(each.sent.calls for each in self._clients.values()) if mode == "collector" else 0,
            )
            for mode, client in self._clients.items()
        }


def _answers(port: int, path: str) -> bool:
    try:
        return call(port, "GET", path, timeout=2.0).status == _OK
    except OSError:
        return False
