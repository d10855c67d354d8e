"""Grafana, the last hop: whether it runs, and reaches its data sources."""

from collections.abc import Collection

from telemetry.tools.backends import Grafana
from telemetry.tools.doctor.walk import Finding, HopError, State

FILE = "deploy/grafana/provisioning/datasources"


def ready(grafana: Grafana) -> Finding:
    """Check its health."""
    return Finding(f"version {grafana.version()}")


def data_sources(grafana: Grafana, wanted: Collection[str]) -> Finding:
    """Have it check each data source of the types `wanted`, all of which must exist; others are not used here."""
    sources = [source for source in grafana.data_sources() if source.type in wanted]
    missing = [kind for kind in wanted if all(source.type != kind for source in sources)]
    if missing:
        raise HopError(f"no data source of type {', '.join(missing)}", f"add it to {FILE} and restart Grafana")
    failing, unknown = [], []
    for source in sources:
        health = grafana.data_source_health(source.uid)
        if health.ok is None:
            unknown.append(source.name)
        elif not health.ok:
            failing.append(f"{source.name} ({source.url}): {health.message}")
    if failing:
        raise HopError("; ".join(failing), f"correct the data source's url in {FILE}, or start its server")
    names = ", ".join(source.name for source in sources)
    if unknown:
        detail = f"{names}; {', '.join(unknown)} cannot be checked"
        return Finding(detail, State.WARNING, "its plugin has no health check or is not loaded: see Grafana's log")
    return Finding(f"{names}: all reachable")
