"""The alert TelemetryIncomplete in a real Prometheus: quiet while all is stored, firing when something drops."""

from collections.abc import Callable
from pathlib import Path

import pytest

from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.dashboards.queries import RULES
from tests.support.answering import Answering
from tests.support.prometheus import Prometheus, prometheus_is_missing
from tests.support.routes import Route, send
from tests.support.service import Service, wait_until
from tests.tools.audit.conftest import EAGER
from tests.tools.audit.hop import Hop
from tests.tools.audit.servers import exposition

StartService = Callable[..., Service]

SIGNALS = ("traces", "logs", "metrics")

pytestmark = pytest.mark.skipif(
    prometheus_is_missing(), reason="Prometheus is not installed (Debian: apt-get install prometheus)"
)


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


def test_backend_rejects(start_service: StartService, console: Console, tmp_path: Path) -> None:
    """Mode direct: Prometheus scrapes the service itself. A scrape that takes too long would be one that is lost."""
    service = start_service("--workers=1", **EAGER, **Route("direct", "grpc").env(console))
    with Prometheus(tmp_path, f"127.0.0.1:{service.port}", rules=rules_at_once(tmp_path), interval="4s") as prometheus:
        send(service, 12)
        wait_until(lambda: all_is_well(prometheus), 60, "all signals stored, and no alert")

        console.receiver.faults = Faults(partial_reject=1, signals=("logs",))
        send(service, 12)
        wait_until(lambda: "logs" in firing(prometheus), 60, "the alert")
        share = stored(prometheus, "logs")
        assert share is not None
        assert 0 < share < 0.999
        assert stored(prometheus, "traces") == 1
        assert firing(prometheus) == {"logs"}


def test_collector_drops_what_nobody_counts(start_service: StartService, console: Console, tmp_path: Path) -> None:
    """Mode collector: Tempo's own count of what came in is below what Alloy has had confirmed."""

    def counters() -> str:
        of_alloy = hop.metrics()  # first: what it has counted has arrived
        return f"{of_alloy}tempo_distributor_spans_received_total {console.store.mode('collector').spans}\n"

    with (
        Hop(f"http://127.0.0.1:{console.http_port}") as hop,
        Answering({"/metrics": lambda _: exposition(console), "/alloy": lambda _: counters()}) as scraped,
        Prometheus(
            tmp_path,
            f"127.0.0.1:{scraped.port}",
            alloy=f"127.0.0.1:{scraped.port}",
            rules=rules_at_once(tmp_path),
            interval="250ms",
        ) as prometheus,
    ):
        route = Route("collector", "http/protobuf").env_for(hop.port, hop.port)
        service = start_service("--workers=1", **EAGER, **route)
        send(service, 12)
        wait_until(lambda: all_is_well(prometheus), 60, "all signals stored, and no alert")

        hop.loss = "silent"
        send(service, 6)
        wait_until(
            lambda: firing(prometheus) == {"traces"} and 0.3 < (stored(prometheus, "traces") or 0) < 0.9,
            60,
            "the alert, for all that is lost",
        )
