"""The alert TelemetryIncomplete as a real Prometheus has it."""

from pathlib import Path

from tests.dashboards.queries import RULES
from tests.support.prometheus import Prometheus

SIGNALS = ("traces", "logs", "metrics")


def rules_at_once(folder: Path) -> list[Path]:
    """Return copies of the rules of which no alert waits."""
    found = []
    for name in ("completeness.yml", "alerts.yml"):
        copy = folder / name
        copy.write_text((RULES / name).read_text(encoding="utf-8").replace("for: 5m", "for: 0s"))
        found.append(copy)
    return found


def stored(prometheus: Prometheus, signal: str) -> float | None:
    return prometheus.value(f'service:telemetry_stored:ratio1h{{telemetry_signal="{signal}"}}')


def all_is_well(prometheus: Prometheus) -> bool:
    """Return whether all signals are stored, and no alert fires any more: one may, between two scrapes of two hops."""
    return all(stored(prometheus, signal) == 1 for signal in SIGNALS) and not firing(prometheus)


def firing(prometheus: Prometheus) -> set[str]:
    """Return the signals whose alert fires now."""
    alert = 'ALERTS{{alertname="TelemetryIncomplete", alertstate="firing", telemetry_signal="{}"}}'
    return {signal for signal in SIGNALS if prometheus.value(alert.format(signal))}
