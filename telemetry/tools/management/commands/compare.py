"""`manage.py compare`: “collector or direct?”, measured. `manage.py` calls `environment.prepare` for it."""

import argparse
import importlib.util
import logging
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from telemetry.tools.compare.collectors import alloy_binary
from telemetry.tools.compare.options import DEFAULT_SCENARIOS, LOSS_KINDS, SCENARIOS, Backends, Options
from telemetry.tools.compare.progress import Progress
from telemetry.tools.compare.route import VARIANTS
from telemetry.tools.compare.targets import TargetError, check_target

_NEEDED = ("jinja2", "locust", "matplotlib", "scipy")
_URLS = ("prometheus", "tempo", "loki", "jaeger")
_INTERRUPTED = 130


class Command(BaseCommand):
    """Runs the same load against every set-up and writes a report.

    Exit code 0 if all counts add up, 1 if not or if the comparison could not run, 2 for a wrong command line, 130 after
    Ctrl-C.
    """

    help = (
        "Compare off, collector and direct on this machine: cost, freshness, loss, scale, and advice from the figures."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--output", type=Path, default=Path("comparison"), metavar="DIR", help="(%(default)s)")
        parser.add_argument("--quick", action="store_true", help="a whole report within five minutes on two cores")
        parser.add_argument(
            "--scenarios",
            nargs="+",
            choices=SCENARIOS,
            default=DEFAULT_SCENARIOS,
            help=f"({', '.join(DEFAULT_SCENARIOS)})",
        )
        parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="set-ups (all)")
        parser.add_argument("--faults", nargs="+", choices=LOSS_KINDS, default=LOSS_KINDS, help="of loss (all)")
        parser.add_argument("--rounds", type=_whole(1, 100), help="paired rounds of cost (6; quick: 3)")
        parser.add_argument("--duration", type=_seconds, help="seconds of each load (10; quick: 2)")
        parser.add_argument("--outage", type=_seconds, help="seconds that the backend is gone (60; quick: 12)")
        parser.add_argument("--rate", type=_rate, default=0.0, help="requests/s of the open loop (40%% of saturation)")
        parser.add_argument(
            "--interval", type=_seconds, default=5.0, help="seconds between pushes or scrapes (%(default)s)"
        )
        parser.add_argument("--workers", type=_whole(1, 32), default=2, help="gunicorn's workers (%(default)s)")
        parser.add_argument("--clients", type=_whole(1, 256), default=8, help="of the closed loop (%(default)s)")
        parser.add_argument(
            "--database", default="sqlite", help="sqlite, or postgres://USER:PASSWORD@HOST/NAME (%(default)s)"
        )
        parser.add_argument(
            "--collector",
            choices=("rotel", "none"),
            default="rotel",
            help="for collector mode (%(default)s)",
        )
        parser.add_argument("--alloy", metavar="PATH", help="Grafana Alloy's binary, to use as the collector instead")
        for name in _URLS:
            parser.add_argument(f"--{name}", default="", metavar="URL", help="count there instead of in the console")
        parser.add_argument("--otlp", default="", metavar="HOST:PORT", help="the running collector before these (gRPC)")
        parser.add_argument(
            "--otlp-traces", default="", metavar="HOST:PORT", help="where direct mode sends spans (gRPC)"
        )
        parser.add_argument("--service-port", type=_whole(0, 65535), default=0, help="for a Prometheus that scrapes it")
        parser.add_argument(
            "--set",
            nargs="+",
            action="extend",
            default=[],
            type=_variable,
            metavar="NAME=VALUE",
            help="service's environment",
        )
        parser.add_argument("--allow-remote", action="store_true", help="let targets be on other machines")

    def handle(self, **given: Any) -> None:
        """Run, write the report and end with the verdict."""
        missing = [name for name in (*_NEEDED, *_collector_of(given)) if importlib.util.find_spec(name) is None]
        if missing:
            raise CommandError(f"missing: {', '.join(missing)}; `make compare` or `make dev` installs what it needs")
        options = _options(given)
        if not given["allow_remote"]:
            _check_targets(given)
        from telemetry.tools.compare.report import save, write
        from telemetry.tools.compare.session import Session, migrate

        try:
            options.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--output {options.output} cannot be written: {error.strerror}") from None
        logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it logs its fonts
        progress = Progress(sys.stderr)
        application = f"{settings.SETTINGS_MODULE.rpartition('.')[0]}.wsgi"
        report = Session(options, progress, migrate, application, lambda part: save(part, options.output)).run()
        try:
            paths = write(report, options.output)
        except KeyboardInterrupt:
            self.stderr.write(
                f"interrupted while drawing; {options.output}/report.json has every figure, and "
                f"`python -m telemetry.tools.compare.report {options.output}` draws it"
            )
            sys.exit(_INTERRUPTED)
        for path in paths:
            self.stdout.write(str(path))
        for problem in report["problems"]:
            self.stderr.write(f"counts do not add up: {problem}")
        if report["problems"]:
            sys.exit(1)
        sys.exit(0 if report["complete"] else _INTERRUPTED)


def _collector_of(given: dict[str, Any]) -> tuple[str, ...]:
    return ("rotel",) if given["collector"] == "rotel" and not given["alloy"] else ()


def _options(given: dict[str, Any]) -> Options:
    quick = given["quick"]
    if given["alloy"] and given["collector"] == "none":
        raise CommandError("--alloy and --collector none exclude each other")
    backends = Backends(**{name: given[name] for name in Backends.__slots__})
    if backends.given and not backends.complete:
        raise CommandError(
            "--prometheus, --loki and one of --tempo and --jaeger belong together: all signals are counted"
        )
    if backends.given and "direct" in " ".join(given["variants"]) and not given["service_port"]:
        raise CommandError("--service-port is missing: a Prometheus scrapes the service where its configuration says")
    try:
        collector = str(alloy_binary(given["alloy"])) if given["alloy"] else given["collector"]
    except FileNotFoundError as error:
        raise CommandError(str(error)) from None
    return Options(
        output=given["output"],
        scenarios=given["scenarios"],
        variants=given["variants"],
        faults=given["faults"],
        rounds=given["rounds"] or (3 if quick else 6),
        duration=given["duration"] or (2.0 if quick else 10.0),
        rate=given["rate"],
        workers=given["workers"],
        clients=given["clients"],
        outage=given["outage"] or (12.0 if quick else 60.0),
        interval=given["interval"],
        database=given["database"],
        collector=collector,
        backends=backends,
        service_env=dict(given["set"]),
        service_port=given["service_port"],
        quick=quick,
        command=_shown_command(),
    )


def _shown_command() -> str:
    """Return the command line without secrets and paths of this machine."""
    shown = ["manage.py"]
    for argument in sys.argv[1:]:
        scheme, separator, rest = argument.partition("://")
        hidden = f"{scheme}://{rest.rpartition('@')[2]}" if separator else argument
        shown.append(Path(hidden).name if hidden.startswith("/") else hidden)
    return " ".join(shown)


def _check_targets(given: dict[str, Any]) -> None:
    targets = {f"--{name}": given[name] for name in _URLS}
    targets |= {f"--{name}": f"//{given[name.replace('-', '_')]}" for name in ("otlp", "otlp-traces")}
    targets["--database"] = given["database"]
    targets |= {f"--set {name}": value for name, value in given["set"] if name.endswith("_ENDPOINT")}
    try:
        for option, url in targets.items():
            check_target(option, url if "//" in url or not option.startswith("--set") else f"//{url}")
    except TargetError as error:
        raise CommandError(str(error)) from None


def _seconds(text: str) -> float:
    return _number(text, "seconds from 0.5 to 3600", 0.5, 3600)


def _rate(text: str) -> float:
    return _number(text, "requests per second from 1 to 10000", 1, 10_000)


def _whole(least: int, most: int) -> Any:
    def read(text: str) -> int:
        return int(_number(text, f"a whole number from {least} to {most}", least, most, whole=True))

    return read


def _number(text: str, accepted: str, least: float, most: float, *, whole: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most or (whole and value != int(value)):
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected {accepted}")
    return value


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected NAME=VALUE")
    return name, value
