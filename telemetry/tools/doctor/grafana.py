"""Grafana, the last hop: whether it runs, and reaches its data sources."""

from collections.abc import Collection

from telemetry.tools.backends import Grafana
from telemetry.tools.doctor.walk import Finding, HopError, State

FILE = "deploy/grafana/provisioning/datasources"


def ready(grafana: Grafana) -> Finding:
    """Check its health."""
    return Finding(f"version {grafana.version()}")


def data_sources(grafana: Grafana, wanted: Collection[str]) -> Finding:
    """Let it ask each data source of the types `wanted`, all of which there must be; others are not in use here."""
    sources = [source for source in grafana.data_sources() if source.type in wanted]
    missing = [kind for kind in wanted if all(source.type != kind for source in sources)]
    if missing:
        raise HopError(f"no data source of type {', '.join(missing)}", f"add it to {FILE} and start Grafana again")
    ill, unknown = [], []
    for source in sources:
        health = grafana.data_source_health(source.uid)
        if health.ok is None:
            unknown.append(source.name)
        elif not health.ok:
            ill.append(f"{source.name} ({source.url}): {health.message}")
    if ill:
        raise HopError("; ".join(ill), f"correct the url of the data source in {FILE}, or start what is behind it")
    names = ", ".join(source.name for source in sources)
    if unknown:
        detail = f"{names}; {', '.join(unknown)} cannot be checked"
        return Finding(detail, State.WARNING, "its plugin has no check, or is not loaded: see Grafana's log")
    return Finding(f"{names}: all reached")
