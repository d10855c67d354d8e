"""`manage.py console`: run the embedded telemetry receiver until it is stopped."""

from __future__ import annotations

import gc
import ipaddress
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from telemetry.tools.console.files import FileError, read_file
from telemetry.tools.console.receiving.scraper import ScrapeTarget
from telemetry.tools.console.server import Console, PortError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.core.management.base import CommandParser, OutputWrapper
    from mcp.server import MCPServer

_SCRAPE_SECONDS = 5.0
_PORTS = {"grpc_port": 4317, "http_port": 4318, "api_port": 3000}
_OF_ITS_OWN = {"--scrape": "scrape", "--allow-faults": "allow_faults"}


class Command(BaseCommand):
    """Starts a Console, prints its endpoints and waits for SIGINT or SIGTERM; touches no database."""

    help = "Receive, keep and show telemetry: OTLP over gRPC and HTTP, scraped metrics; web pages and a JSON API."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
        parser.add_argument("--grpc-port", type=int, default=_PORTS["grpc_port"], help="OTLP/gRPC (%(default)s)")
        parser.add_argument("--http-port", type=int, default=_PORTS["http_port"], help="OTLP/HTTP (%(default)s)")
        parser.add_argument("--api-port", type=int, default=_PORTS["api_port"], help="pages and JSON API (%(default)s)")
        parser.add_argument("--port-offset", type=int, default=0, metavar="N", help="added to every port that is not 0")
        parser.add_argument(
            "--scrape",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME=URL",
            help="Prometheus endpoints to scrape, e.g. direct=http://127.0.0.1:8081/metrics",
        )
        parser.add_argument("--scrape-interval", type=float, metavar="SECONDS", help=f"({_SCRAPE_SECONDS})")
        parser.add_argument(
            "--scrape-token-file", type=Path, metavar="PATH", help="a file with the bearer token of the scrape targets"
        )
        parser.add_argument(
            "--open", nargs="+", action="extend", default=[], type=Path, metavar="FILE", dest="files",
            help="show files of OTLP JSON lines, gzip or plain: saved by a console or by OpenTelemetry's file exporter",
        )  # fmt: skip
        parser.add_argument(
            "--mcp",
            action="store_true",
            help="serve an assistant over standard input and output (Model Context Protocol), from the console that "
            "runs at these ports, else from one of its own",
        )
        parser.add_argument(
            "--allow-faults",
            action="store_true",
            help="let the JSON API slow the receiver down or make it refuse (for tests)",
        )

    def handle(self, **options: Any) -> None:
        """Run until a signal arrives."""
        serve = _mcp_server() if options["mcp"] else None
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            # Event.set() takes a lock that the interrupted thread may hold. An assistant's input cannot be interrupted.
            stop = signal.SIG_DFL if serve else lambda *_: threading.Thread(target=stopped.set).start()
            signal.signal(number, stop)
        console = _console(options)
        _collect_rarely()
        self._read(console, options["files"])
        try:
            console.start()
        except PortError as error:
            if serve and not options["files"] and _answers(console.url):
                self._name_unused(console.url, options)
                serve(console.url).run()
                return
            option = f"--{error.parameter.replace('_', '-')}"
            raise CommandError(
                f"port {error.port} on {error.host} cannot be used: {error.reason}; "
                f"choose another with {option} or --port-offset"
            ) from None
        try:
            self._print_endpoints(console, self.stderr if serve else self.stdout)
            if serve:
                serve(console.url).run()
            else:
                stopped.wait()
        finally:
            console.stop()

    def _name_unused(self, url: str, options: dict[str, Any]) -> None:
        """Report the options that only a console of its own would use."""
        given = [name for name, is_given in _OF_ITS_OWN.items() if options[is_given]]
        if given:
            self.stderr.write(f"{', '.join(given)}: no effect on the console that runs at {url}")

    def _read(self, console: Console, files: list[Path]) -> None:
        if files:
            console.store.replay()
        try:
            left_out = [read_file(console.store, path) for path in files]
        except FileError as error:
            raise CommandError(str(error)) from None
        retained = console.store.retained().items() if files else ()
        left_out += [
            f"{kept.evicted:,} {name} did not fit; the latest are shown" for name, kept in retained if kept.evicted
        ]
        for line in filter(None, left_out):
            self.stderr.write(line)

    def _print_endpoints(self, console: Console, output: OutputWrapper) -> None:
        if not _is_loopback(console.host):
            self.stderr.write(f"{console.host} is not a loopback address: others can read and write without a password")
        lines = [("OTLP/gRPC", console.grpc_endpoint), ("OTLP/HTTP", console.http_endpoint), ("Console", console.url)]
        lines += [(f"Scrapes {target.name}", target.url) for target in console.scraper.targets]
        for name, url in lines:
            output.write(f"{name:<20} {url}")
        output.flush()


def _mcp_server() -> Callable[[str], MCPServer]:
    try:
        from telemetry.tools.console.assistant import server
    except ModuleNotFoundError as missing:
        raise CommandError(f"--mcp needs the package {missing.name}: pip install 'mcp~=2.3'") from None
    return server


def _answers(url: str) -> bool:
    from telemetry.tools.backends import BackendError
    from telemetry.tools.backends import Console as BackendConsole

    try:
        BackendConsole(url).check_ready()
    except BackendError:
        return False
    return True


def _collect_rarely() -> None:
    """Look for cycles less often: a full store holds 300,000 objects, and traversing them all stalls every page."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _console(options: dict[str, Any]) -> Console:
    offset = options["port_offset"]
    ports: dict[str, Any] = {name: options[name] + offset if options[name] else 0 for name in _PORTS}
    interval, file = options["scrape_interval"], options["scrape_token_file"]
    for name, value in (("--scrape-interval", interval), ("--scrape-token-file", file)):
        if value is not None and not options["scrape"]:
            raise CommandError(f"{name} needs --scrape")
    token = _token(file)
    try:
        return Console(
            host=options["host"],
            **ports,
            scrape_targets=[_target(text, token) for text in options["scrape"]],
            scrape_interval=_SCRAPE_SECONDS if interval is None else interval,
            allow_faults=options["allow_faults"],
        )
    except ValueError as error:
        raise CommandError(str(error)) from None


def _token(file: Path | None) -> str | None:
    try:
        return file.read_text().strip() if file else None
    except (ValueError, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "is not text"
        raise CommandError(f"--scrape-token-file: {file}: {reason}") from None


def _target(text: str, token: str | None) -> ScrapeTarget:
    name, _, url = text.partition("=")
    return ScrapeTarget(name, url, token)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
