"""The effective configuration: that of the environment, corrected by what the running service says of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from telemetry.config import Mode, Signal, SignalConfig, TelemetryConfig
from telemetry.config.reader import DEFAULT
from telemetry.config.values import SIGNALS
from telemetry.status import ask_status
from telemetry.tools.doctor.network import Receiver, proxy_between, receivers
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
    return TelemetryConfig.from_env(environ)


def running_service(service: dict[str, Any] | None, timeout: float) -> Running | None:
    """Return what one of `telemetry.status.running_services` reports; raise HopError where its exporter is silent."""
    if service is None:
        return None
    status = ask_status(service, timeout)
    if "signals" not in status:
        raise HopError(
            f"{service['service']} at {service['address'] or 'no address'} (process {service['run']}) runs, but "
            f"{status.get('error', 'its exporter has no status')}",
            "see the service's log; its next request starts an exporter if there is none",
        )
    return Running(status)


def in_mode(services: list[dict[str, Any]], mode: Mode) -> dict[str, Any] | None:
    """Return the first running service in this mode, else the only one that runs, else None."""
    return next((one for one in services if one["mode"] == mode), services[0] if len(services) == 1 else None)


def listening_at(services: list[dict[str, Any]], url: str) -> dict[str, Any] | None:
    """Return the running service that listens on the port of `url`, None where none says so."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return next((one for one in services if port in ports_of(one)), None)


def ports_of(service: dict[str, Any]) -> list[int]:
    """Return the TCP ports that a running service listens on."""
    return [port for address in service["address"].split(",") if (port := _port(address))]


def _port(address: str) -> int | None:
    try:
        return urlsplit(address if "//" in address else f"//{address}").port
    except ValueError:
        return None


def effective(config: TelemetryConfig, running: Running | None) -> tuple[TelemetryConfig, list[str]]:
    """Return `config` as the running service has it, and in which variables that this shell sets it differs.

    Headers and certificates are those of the environment, which the service does not report; they are left out where
    it sends to another place, which they were not meant for.
    """
    if running is None:
        return config, []
    differences = []
    if running.mode != config.mode and _is_set(config, "mode"):
        differences.append(f"TELEMETRY_MODE is {running.mode} there, {config.mode} here")
    if running.service_name != config.service_name and _is_set(config, "service_name"):
        differences.append(f"OTEL_SERVICE_NAME is {running.service_name} there, {config.service_name} here")
    signals: dict[str, Any] = {}
    sources = dict(config.sources)
    for signal in SIGNALS:
        reported, ours = running.signals[signal], getattr(config, signal)
        signals[signal], difference = _as_reported(signal, ours, reported)
        # What follows from another mode needs no words of its own.
        set_here = any(_is_set(config, f"{signal}.{name}") for name in ("exporter", "endpoint", "protocol"))
        differences += difference if set_here and running.mode == config.mode else []
        if signals[signal].endpoint != ours.endpoint:
            sources[f"{signal}.endpoint"] = (
                f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT (or OTEL_EXPORTER_OTLP_ENDPOINT)"
            )
    theirs = replace(config, mode=running.mode, service_name=running.service_name, sources=sources, **signals)
    return theirs, differences


def _is_set(config: TelemetryConfig, field: str) -> bool:
    """Whether a variable of this shell sets a value: only then can it differ from the service's."""
    return config.sources.get(field, DEFAULT) != DEFAULT


def _as_reported(signal: Signal, ours: SignalConfig, reported: Mapping[str, Any]) -> tuple[SignalConfig, list[str]]:
    differences = []
    if reported["exporter"] != ours.exporter:
        differences.append(f"OTEL_{signal.upper()}_EXPORTER is {reported['exporter']} there, {ours.exporter} here")
        ours = replace(ours, exporter=reported["exporter"])
    endpoint = reported.get("destination", ours.endpoint)
    if endpoint != ours.endpoint:
        if not differences:
            differences.append(f"{signal} go to {endpoint} there, {ours.endpoint} here")
        insecure = urlsplit(endpoint).scheme != "https"
        ours = replace(ours, endpoint=endpoint, insecure=insecure, headers=())
    if reported.get("protocol", ours.protocol) != ours.protocol:
        if not differences:
            differences.append(f"{signal} leave by {reported['protocol']} there, {ours.protocol} here")
        ours = replace(ours, protocol=reported["protocol"])
    return ours, differences


def signals_of(config: TelemetryConfig) -> dict[Signal, SignalConfig]:
    """Return how each signal leaves."""
    return {"traces": config.traces, "metrics": config.metrics, "logs": config.logs}


def otlp_receivers(config: TelemetryConfig) -> list[Receiver]:
    """Return where OTLP is sent, with the variable that decides each."""
    pushed = {signal: way for signal, way in signals_of(config).items() if way.exporter == "otlp"}
    variables: dict[Signal, str] = {signal: _variable(config, signal) for signal in pushed}
    return receivers(pushed, variables)


def _variable(config: TelemetryConfig, signal: Signal) -> str:
    source = config.sources.get(f"{signal}.endpoint", "")
    return source if source.startswith("OTEL_") else "OTEL_EXPORTER_OTLP_ENDPOINT"


def judged(config: TelemetryConfig, differences: list[str]) -> Finding:
    """Say what is in force, and what in it is probably not meant; raise HopError where nothing is sent at all."""
    if config.mode == "off":
        variable = config.sources.get("mode", "TELEMETRY_MODE")
        raise HopError(
            "telemetry is off: nothing is sent",
            f"set TELEMETRY_MODE=collector or direct ({variable} says off) and start the service again",
        )
    ways: dict[str, list[str]] = {}
    for signal, way in signals_of(config).items():
        ways.setdefault(_way(way), []).append(signal)
    destinations = "; ".join(f"{', '.join(names)} {way}" for way, names in ways.items())
    detail = f"mode {config.mode}: {destinations}"
    doubts = [*config.warnings, *_proxies(config)]
    remedies = [*doubts]
    if differences:
        remedies.append(f"the service runs with another configuration than this shell's ({'; '.join(differences)})")
    return Finding(detail, State.WARNING if remedies else State.OK, "; ".join(remedies))


def _way(config: SignalConfig) -> str:
    if config.exporter == "otlp":
        return f"to {config.endpoint} ({config.protocol})"
    return {"prometheus": "at /metrics", "console": "to standard output", "none": "nowhere"}[config.exporter]


def _proxies(config: TelemetryConfig) -> list[str]:
    return [
        f"{proxy} is used for {receiver.host}: name it in NO_PROXY unless that is meant"
        for receiver in otlp_receivers(config)
        if (proxy := proxy_between(receiver))
    ]
