"""The effective configuration: the environment's, corrected by what the running service reports."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from telemetry.config import Mode, Signal, SignalConfig, TelemetryConfig
from telemetry.config.reader import derived_from
from telemetry.config.values import SIGNALS
from telemetry.lifecycle import config_of_project, project
from telemetry.status import ask_status
from telemetry.tools.doctor.network import Receiver, addresses_of, is_own, proxy_between, receivers
from telemetry.tools.doctor.walk import Finding, HopError, State


@dataclass(frozen=True, slots=True)
class Running:
    """A running service; `status` is what it reports (`manage.py telemetry --status`)."""

    status: Mapping[str, Any]

    @property
    def mode(self) -> Mode:
        mode: Mode = self.status["mode"]
        return mode

    @property
    def service_name(self) -> str:
        return str(self.status["service"])

    @property
    def version(self) -> str:
        return str(self.status["version"])

    @property
    def signals(self) -> Mapping[Signal, Mapping[str, Any]]:
        """For each `exporter`, and for OTLP `destination`, `protocol`, `failing`, ..."""
        signals: Mapping[Signal, Mapping[str, Any]] = self.status["signals"]
        return signals


def from_environment(environ: Mapping[str, str]) -> TelemetryConfig:
    """Return the configuration; raise HopError with every variable that is wrong."""
    if errors := TelemetryConfig.errors(environ):
        names = ", ".join(dict.fromkeys(error.variable for error in errors))
        raise HopError("; ".join(map(str, errors)), f"correct {names}")
    return config_of_project(TelemetryConfig.from_env(environ))


def running_service(service: dict[str, Any] | None, timeout: float) -> Running | None:
    """Return what one of `telemetry.status.running_services` reports; HopError if its exporter does not answer."""
    if service is None:
        return None
    status = ask_status(service, timeout)
    if "signals" not in status:
        raise HopError(
            f"{described(service)} runs, but {status.get('error', 'its exporter reports no status')}",
            "see the service's log; its next request starts an exporter if none is running",
        )
    return Running(status)


def chosen(services: list[dict[str, Any]], config: TelemetryConfig) -> tuple[dict[str, Any] | None, str]:
    """Return the running service that matches the configuration, or None, and a note on the choice.

    It has the configured name and mode. If no variable sets the mode, a service of that name in another mode matches.
    """
    of_mode = [one for one in services if one["mode"] == config.mode]
    of_name = [one for one in services if one["service"] == config.service_name]
    named = [one for one in of_name if one in of_mode] or ([] if config.is_set("mode") else of_name)
    found = named or of_mode or of_name or (services if len(services) == 1 else [])
    if not found:
        return None, ""
    first = min(found, key=lambda one: (not one["address"], one["address"], one["run"]))
    if len(named) == 1:
        return first, ""
    whose = (
        f"{len(named)} services named {config.service_name} are running"
        if named
        else f"no service named {config.service_name} is running"
    )
    there = "" if named and first not in of_mode else f" in mode {config.mode}"
    return first, f"{whose}{there}: examining {described(first)}; --service URL selects another one"


def described(service: Mapping[str, Any]) -> str:
    """Return a description that identifies a running service."""
    return f"{service['service']} at {service['address'] or 'no address'} (process {service['run']})"


def listening_at(services: list[dict[str, Any]], url: str) -> dict[str, Any] | None:
    """Return the running service that listens at `url`, None if none reports it."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    on_port = [(at.hostname or "", one) for one in services for at in _listeners(one) if at.port == port]
    wanted = addresses_of(parts.hostname or "") if on_port else set()
    return next((one for host, one in on_port if _reaches(wanted, host)), None)


def urls_of(service: dict[str, Any]) -> list[str]:
    """Return the URLs at which a running service listens on TCP; wildcard addresses are given as loopback ones."""
    return [
        f"{at.scheme}://{_WILDCARDS.get(at.hostname or '') or at.netloc.rpartition(':')[0]}:{at.port}"
        for at in _listeners(service)
    ]


_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def _listeners(service: dict[str, Any]) -> list[SplitResult]:
    """Return the TCP addresses that a running service listens at."""
    found = []
    for address in service["address"].split(","):
        with suppress(ValueError):
            parts = urlsplit(address if "//" in address else f"http://{address}")
            if parts.port:
                found.append(parts)
    return found


def _reaches(wanted: set[str], host: str) -> bool:
    """Return whether one of the addresses is that of a listener at `host`."""
    if host in _WILDCARDS:
        return any(map(is_own, wanted))
    return bool(wanted & addresses_of(host))


def effective(config: TelemetryConfig, running: Running | None) -> tuple[TelemetryConfig, list[str]]:
    """Return `config` with the running service's values, and how they differ from the variables set in this shell.

    The service does not report headers and certificates: they are the environment's. Headers are left out if it sends
    to another endpoint, as they were not meant for that.
    """
    if running is None:
        return config, []
    differences = []
    if running.mode != config.mode and config.is_set("mode"):
        differences.append(f"TELEMETRY_MODE is {running.mode} there, {config.mode} here")
    if running.service_name != config.service_name and config.is_set("service_name"):
        differences.append(f"OTEL_SERVICE_NAME is {running.service_name} there, {config.service_name} here")
    signals: dict[str, Any] = {}
    sources = dict(config.sources)
    for signal in SIGNALS:
        reported, ours = running.signals[signal], getattr(config, signal)
        signals[signal] = _as_reported(ours, reported)
        # A different mode explains these differences.
        if running.mode == config.mode:
            differences += _differences(config, signal, signals[signal])
        if signals[signal].endpoint != ours.endpoint:
            sources[f"{signal}.endpoint"] = (
                f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT (or OTEL_EXPORTER_OTLP_ENDPOINT)"
            )
    theirs = replace(config, mode=running.mode, service_name=running.service_name, sources=sources, **signals)
    return theirs, differences


def _as_reported(ours: SignalConfig, reported: Mapping[str, Any]) -> SignalConfig:
    theirs = replace(ours, exporter=reported["exporter"], protocol=reported.get("protocol", ours.protocol))
    endpoint = reported.get("destination", ours.endpoint)
    if endpoint == ours.endpoint:
        return theirs
    return replace(theirs, endpoint=endpoint, insecure=urlsplit(endpoint).scheme != "https", headers=())


def _differences(config: TelemetryConfig, signal: Signal, theirs: SignalConfig) -> list[str]:
    """Return how the service differs from what this shell sets: the first difference, as it explains the others."""
    ours: SignalConfig = getattr(config, signal)
    if theirs.exporter != ours.exporter:
        # A signal with its own endpoint is exported, too.
        decided = config.is_set(f"{signal}.exporter") or _derived_from_endpoint(config, signal)
        words = f"OTEL_{signal.upper()}_EXPORTER is {theirs.exporter} there, {ours.exporter} here"
        return [words] if decided else []
    if theirs.exporter != "otlp":
        return []
    if theirs.endpoint != ours.endpoint and config.is_set(f"{signal}.endpoint"):
        return [f"{signal} go to {theirs.endpoint} there, {ours.endpoint} here"]
    if theirs.protocol != ours.protocol and config.is_set(f"{signal}.protocol"):
        return [f"{signal} use {theirs.protocol} there, {ours.protocol} here"]
    return []


def _derived_from_endpoint(config: TelemetryConfig, signal: Signal) -> bool:
    endpoint = f"{signal}.endpoint"
    return config.is_set(endpoint) and config.sources[f"{signal}.exporter"] == derived_from(config.sources[endpoint])


def metrics_path() -> str:
    """Return the path at which the service is scraped, from the project's settings."""
    return project().metrics_path or "/metrics"


def signals_of(config: TelemetryConfig) -> dict[Signal, SignalConfig]:
    """Return how each signal is exported."""
    return {"traces": config.traces, "metrics": config.metrics, "logs": config.logs}


def otlp_receivers(config: TelemetryConfig) -> list[Receiver]:
    """Return the receivers of OTLP, each with the variable that sets it."""
    pushed = {signal: one for signal, one in signals_of(config).items() if one.exporter == "otlp"}
    variables: dict[Signal, str] = {signal: _variable(config, signal) for signal in pushed}
    return receivers(pushed, variables)


def _variable(config: TelemetryConfig, signal: Signal) -> str:
    source = config.sources.get(f"{signal}.endpoint", "")
    return source if source.startswith("OTEL_") else "OTEL_EXPORTER_OTLP_ENDPOINT"


def assessed(config: TelemetryConfig, differences: list[str], choice: str = "") -> Finding:
    """Describe the effective configuration and what in it looks like a mistake; raise HopError if nothing is sent.

    `choice` is a note on how the service was chosen.
    """
    if config.mode == "off":
        variable = config.sources.get("mode", "TELEMETRY_MODE")
        raise HopError(
            "telemetry is off: nothing is sent",
            f"set TELEMETRY_MODE=collector or direct ({variable} turns it off) and restart the service",
        )
    by_destination: dict[str, list[str]] = {}
    for signal, one in signals_of(config).items():
        by_destination.setdefault(_destination(one), []).append(signal)
    destinations = "; ".join(f"{', '.join(names)} {destination}" for destination, names in by_destination.items())
    detail = f"mode {config.mode}: {destinations}"
    remedies = [*filter(None, [choice]), *config.warnings, *_proxies(config)]
    if differences:
        remedies.append(f"the service's configuration differs from this shell's ({'; '.join(differences)})")
    return Finding(detail, State.WARNING if remedies else State.OK, "; ".join(remedies))


def _destination(config: SignalConfig) -> str:
    if config.exporter == "otlp":
        return f"to {config.endpoint} ({config.protocol})"
    served = f"at {metrics_path()}"
    return {"prometheus": served, "console": "to standard output", "none": "not exported"}[config.exporter]


def _proxies(config: TelemetryConfig) -> list[str]:
    return [
        f"{proxy} applies to {receiver.host}: add the host to NO_PROXY unless that is intended"
        for receiver in otlp_receivers(config)
        if (proxy := proxy_between(receiver))
    ]
