"""The command line of a comparison, for this service and for any other project. Imports no Django."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from telemetry.tools.compare.options import DEFAULT_SCENARIOS, LOSS_KINDS, SCENARIOS, Backends, Options, Scenario
from telemetry.tools.compare.setups.collectors import alloy_binary
from telemetry.tools.compare.setups.route import CONDITIONS_VARIANTS, DEFAULT_VARIANTS, QUICK_VARIANTS, VARIANTS
from telemetry.tools.compare.targets import TargetError, check_target

_URLS = ("prometheus", "tempo", "loki", "jaeger")
_USED_BY: dict[str, tuple[Scenario, ...]] = {
    "faults": ("loss",),
    "outage": ("loss",),
    "postgres": ("conditions",),
    "keep_data": ("cost", "conditions"),
}
"""The scenarios without which an option has no effect."""


class UsageError(Exception):
    """An invalid command line; the message is one line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every comparison."""
    parser.add_argument("--output", type=Path, default=Path("comparison"), metavar="DIR", help="(%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a whole report in eight minutes on two cores")
    parser.add_argument(
        "--scenarios",
        nargs="+",
        choices=SCENARIOS,
        default=DEFAULT_SCENARIOS,
        metavar="SCENARIO",
        help=f"of {', '.join(SCENARIOS)} ({', '.join(DEFAULT_SCENARIOS)})",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        metavar="SET-UP",
        help=f"set-ups, of {', '.join(VARIANTS)} (all that are installed; quick: {', '.join(QUICK_VARIANTS)})",
    )
    parser.add_argument(
        "--faults",
        nargs="+",
        choices=LOSS_KINDS,
        default=LOSS_KINDS,
        metavar="FAULT",
        help=f"of loss: {', '.join(LOSS_KINDS)} (all)",
    )
    parser.add_argument("--rounds", type=_whole(1, 100), help="paired rounds of cost (6; quick: 3)")
    parser.add_argument("--duration", type=_seconds, help="seconds of each load (10; quick: 2)")
    parser.add_argument("--outage", type=_seconds, help="seconds that the backend is down (60; quick: 12)")
    parser.add_argument("--rate", type=_rate, default=0.0, help="requests/s of the open loop (40%% of saturation)")
    parser.add_argument(
        "--interval", type=_seconds, default=5.0, help="seconds between pushes or scrapes (%(default)s)"
    )
    parser.add_argument("--workers", type=_whole(1, 32), default=2, help="gunicorn's workers (%(default)s)")
    parser.add_argument("--clients", type=_whole(1, 256), default=8, help="of the closed loop (%(default)s)")
    parser.add_argument(
        "--collector", choices=("rotel", "none"), default="rotel", help="for collector mode (%(default)s)"
    )
    parser.add_argument("--alloy", metavar="PATH", help="Grafana Alloy's binary, to use as the collector instead")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        type=_variable,
        metavar="NAME=VALUE",
        help="service's environment",
    )
    parser.add_argument("--keep-data", action="store_true", help="write every latency into DIR/latencies-*.json")
    parser.add_argument("--allow-remote", action="store_true", help="let targets be on other machines")


def add_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the further arguments of a comparison of this service."""
    parser.add_argument(
        "--merge", nargs="+", type=Path, metavar="REPORT", help="print one table of these reports, and measure nothing"
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="all set-ups and scenarios into docs/comparison and the README; refused on a busy machine",
    )
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or postgres://USER:PASSWORD@HOST/NAME (%(default)s)"
    )
    parser.add_argument(
        "--postgres", default="", metavar="URL", help="a PostgreSQL for one of the conditions, besides --database"
    )
    for name in _URLS:
        parser.add_argument(f"--{name}", default="", metavar="URL", help="count there instead of in the console")
    parser.add_argument("--otlp", default="", metavar="HOST:PORT", help="the running collector before these (gRPC)")
    parser.add_argument("--otlp-traces", default="", metavar="HOST:PORT", help="where direct mode sends spans (gRPC)")
    parser.add_argument("--service-port", type=_whole(0, 65535), default=0, help="for a Prometheus that scrapes it")


def options_of(given: dict[str, Any], program: str) -> Options:
    """Return the options of a command line; raises UsageError."""
    quick, publish = given["quick"], given.get("publish", False)
    if quick and publish:
        raise UsageError("--quick and --publish exclude each other")
    if publish and given["scenarios"] is not DEFAULT_SCENARIOS:
        raise UsageError("--publish and --scenarios exclude each other: all are published")
    if given["alloy"] and given["collector"] == "none":
        raise UsageError("--alloy and --collector none exclude each other")
    scenarios = SCENARIOS if publish else given["scenarios"]
    _check_scenarios(given, scenarios)
    if not given["allow_remote"]:
        _check_targets(given)
    backends = Backends(**{name: given.get(name, "") for name in Backends.__slots__})
    variants = _variants(given["variants"], quick=quick, backends=backends)
    if "conditions" in scenarios and not set(variants) & set(CONDITIONS_VARIANTS):
        raise UsageError(f"--scenarios conditions needs --variants with one of {', '.join(CONDITIONS_VARIANTS)}")
    _check_backends(backends, variants, given.get("service_port", 0))
    if backends.given and given["alloy"]:
        raise UsageError("--alloy and given backends exclude each other: what is before them, --otlp, is the collector")
    try:
        collector = str(alloy_binary(given["alloy"])) if given["alloy"] else given["collector"]
    except FileNotFoundError as error:
        raise UsageError(str(error)) from None
    return Options(
        output=given["output"],
        scenarios=scenarios,
        variants=variants,
        faults=given["faults"],
        rounds=given["rounds"] or (3 if quick else 6),
        duration=given["duration"] or (2.0 if quick else 10.0),
        rate=given["rate"],
        workers=given["workers"],
        clients=given["clients"],
        outage=given["outage"] or (12.0 if quick else 60.0),
        interval=given["interval"],
        database=given.get("database", ""),
        postgres=given.get("postgres", ""),
        collector=collector,
        backends=backends,
        service_env=dict(given["set"]),
        service_port=given.get("service_port", 0),
        quick=quick,
        publish=publish,
        keep_data=given["keep_data"],
        command=_shown_command(program, given["set"]),
    )


def check_merge(given: dict[str, Any]) -> None:
    """Raise UsageError if `--merge`, which measures nothing, is combined with an option of a measurement."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    add_service_arguments(parser)
    defaults = vars(parser.parse_args([]))
    others = [_option(name) for name, value in defaults.items() if name != "merge" and given[name] != value]
    if others:
        raise UsageError(f"--merge measures nothing: leave out {', '.join(others)}")


def _check_scenarios(given: dict[str, Any], scenarios: Sequence[Scenario]) -> None:
    for name, users in _USED_BY.items():
        is_given = given.get(name) and given[name] is not LOSS_KINDS
        if is_given and not set(users) & set(scenarios):
            raise UsageError(f"{_option(name)} needs --scenarios {' or '.join(users)}")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variants(given: list[str] | None, *, quick: bool, backends: Backends) -> list[str]:
    """Return the set-ups to compare: those named, or the default ones whose packages are installed."""
    missing = {key: one.upstream.missing for key, one in VARIANTS.items() if one.upstream and one.upstream.missing}
    if given is None:
        wanted = QUICK_VARIANTS if quick else DEFAULT_VARIANTS
        return [key for key in wanted if key not in missing and not (backends.given and VARIANTS[key].upstream)]
    for key in given:
        if key in missing:
            raise UsageError(f"--variants {key} needs packages that are not installed: {', '.join(missing[key])}")
        if backends.given and VARIANTS[key].upstream:
            raise UsageError(f"--variants {key} is counted only in the embedded console, not in given backends")
    return given


def _check_backends(backends: Backends, variants: list[str], service_port: int) -> None:
    if backends.given and not backends.complete:
        raise UsageError(
            "--prometheus, --loki and one of --tempo and --jaeger must be given together: all signals are counted"
        )
    if not backends.given and (backends.otlp or backends.otlp_traces):
        raise UsageError("--otlp and --otlp-traces belong to the backends behind them: --prometheus, --loki, ...")
    if backends.given and any(key.startswith("direct") for key in variants) and not service_port:
        raise UsageError("--service-port is missing: a Prometheus scrapes the service where its configuration says")


def _shown_command(program: str, variables: Sequence[tuple[str, str]]) -> str:
    """Return the command line without secrets, paths of this machine, and the values of these variables (`--set`)."""
    shown = [program]
    names = {f"{name}={value}": f"{name}=..." for name, value in variables}
    for argument in sys.argv[1:]:
        option, _, value = argument.partition("=")
        if argument in names or (option.startswith("--") and value in names):
            shown.append(names.get(argument) or f"{option}={names[value]}")
            continue
        scheme, separator, rest = argument.partition("://")
        host = rest.rpartition("@")[2]
        # In a URL without a host, the path of a socket takes its place.
        hidden = f"{scheme}://{'' if host.startswith('/') else host}" if separator else argument
        shown.append(Path(hidden).name if hidden.startswith("/") else hidden)
    return " ".join(shown)


def _check_targets(given: dict[str, Any]) -> None:
    targets = {f"--{name}": given.get(name, "") for name in _URLS}
    targets |= {f"--{name}": f"//{given.get(name.replace('-', '_'), '')}" for name in ("otlp", "otlp-traces")}
    targets["--database"] = given.get("database", "sqlite")
    targets["--postgres"] = given.get("postgres", "")
    targets |= {f"--set {name}": value for name, value in given["set"] if name.endswith("_ENDPOINT")}
    try:
        for option, url in targets.items():
            check_target(option, url if "//" in url or not option.startswith("--set") else f"//{url}")
    except TargetError as error:
        raise UsageError(str(error)) from None


def split_options(text: str) -> list[str]:
    """Return the options in a text, as a shell would read them; raises ArgumentTypeError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: {str(error).lower()}") from None


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
