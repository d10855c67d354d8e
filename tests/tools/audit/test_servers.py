"""The audit with a real Prometheus: each hop that loses on purpose is found, and nothing is missing without one.

The alert TelemetryIncomplete is quiet while all is stored, and fires when something drops.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telemetry.tools.account import Account
from telemetry.tools.audit import stores
from telemetry.tools.audit.counters import Window
from telemetry.tools.backends import Jaeger
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.support.answering import Answering
from tests.support.prometheus import Prometheus, prometheus_is_missing
from tests.support.routes import Route, send
from tests.support.service import Service, wait_until
from tests.tools.audit.alerts import all_is_well, firing, rules_at_once, stored
from tests.tools.audit.conftest import EAGER, Auditor, missing
from tests.tools.audit.hop import Hop
from tests.tools.audit.servers import backends, exposition

StartService = Callable[..., Service]

pytestmark = pytest.mark.skipif(
    prometheus_is_missing(), reason="Prometheus is not installed (Debian: apt-get install prometheus)"
)


@dataclass
class Collected:
    """A service that sends through a collector to a console, with a Prometheus that scrapes the collector."""

    service: Service
    hop: Hop
    prometheus: Prometheus
    auditor: Auditor

    def lose(self, loss: str, requests: int) -> None:
        """Begin a window in which the collector treats the spans of that many requests as `loss` says."""
        self.auditor.begin()
        self.hop.loss = loss  # type: ignore[assignment]
        send(self.service, requests)
        wait_until(lambda: self.service.has_delivered(everything=True), 60, "what the collector confirms")
        self.hop.loss = "none"
        self.auditor.rest()


def handled(traces: Account) -> int:
    """Return how many spans were recorded if the collector's counts cover them: Prometheus asks it at other moments."""
    passed = traces.passed
    complete = passed and passed.received == passed.sent + sum(passed.lost.values()) == traces.recorded.items
    return traces.recorded.items if complete else 0


@pytest.fixture
def collected(start_service: StartService, console: Console, tmp_path: Path) -> Iterator[Collected]:
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
        backends(console, "collector") as urls,
    ):
        # Half as often as it is scraped, so that each push is.
        route = Route("collector", "http/protobuf")
        env = {**EAGER, "OTEL_METRIC_EXPORT_INTERVAL": "500", **route.env_for(hop.port, hop.port)}
        service = start_service("--workers=1", **env)
        send(service, 3)
        yield Collected(
            service, hop, prometheus, Auditor(service, {**urls, "prometheus": prometheus.url}, env, prometheus)
        )


def test_collector_loses(collected: Collected) -> None:
    collected.lose("none", 12)
    found = collected.auditor.until(
        lambda one: len(one) == 3 and handled(one["traces"]) == one["traces"].stored.items >= 12, "complete"
    )
    assert {signal: account.completeness for signal, account in found.items()} == dict.fromkeys(found, 1)
    assert [(account.lost, account.twice) for account in found.values()] == [(0, 0)] * 3, found
    traces = found["traces"]
    assert traces.passed
    assert traces.passed.received == traces.passed.sent == traces.recorded.confirmed == traces.stored.items
    assert found["logs"].stored.newest == pytest.approx(traces.stored.newest, abs=30)

    wait_until(lambda: all_is_well(collected.prometheus), 60, "all signals stored, and no alert")

    collected.lose("silent", 9)
    found = collected.auditor.until(lambda one: handled(one["traces"]) >= 9, "silent")
    lost = found["traces"].recorded.items
    assert lost >= 9
    assert missing(found["traces"]) == {("between Alloy and Tempo", "confirmed but not stored"): lost}
    # Nobody counts them: Tempo's own count of what came in is below what Alloy has had confirmed.
    wait_until(
        lambda: (
            firing(collected.prometheus) == {"traces"} and 0.3 < (stored(collected.prometheus, "traces") or 0) < 0.9
        ),
        60,
        "the alert, for all that is lost",
    )

    collected.lose("counted", 9)
    found = collected.auditor.until(lambda one: handled(one["traces"]) >= 9, "counted")
    lost = found["traces"].recorded.items
    assert missing(found["traces"]) == {("Alloy", "send_failed"): lost}, found["traces"]
    assert (found["traces"].completeness, found["logs"].completeness) == (0, 1)


def test_scraped_service_loses(start_service: StartService, console: Console, tmp_path: Path) -> None:
    """Mode direct: the backend rejects a part; nothing counts it but the exporter.

    Without Prometheus, spans and log records are held against what the exporter itself reports.
    """
    env = {**EAGER, **Route("direct", "grpc").env(console)}
    service = start_service("--workers=1", **env)
    with (
        Prometheus(tmp_path, f"127.0.0.1:{service.port}") as prometheus,
        backends(console, "direct") as urls,
    ):
        send(service, 9)
        auditor = Auditor(service, {**urls, "prometheus": "http://127.0.0.1:1"}, env)
        found = auditor.until(lambda one: one["traces"].distinct >= 9, "stored")
        assert {signal: account.completeness for signal, account in found.items()} == {"traces": 1, "logs": 1}
        assert auditor.audit().unknown["metrics"].startswith("Prometheus at http://127.0.0.1:1")

        auditor = Auditor(service, {**urls, "prometheus": prometheus.url}, env, prometheus)
        auditor.begin()
        send(service, 12)
        auditor.rest()
        found = auditor.until(lambda one: len(one) == 3 and one["traces"].recorded.items >= 12, "complete")
        scrapes = found.pop("metrics")
        assert {signal: account.completeness for signal, account in found.items()} == {"traces": 1, "logs": 1}, found
        # On a busy machine one may take longer than a second.
        assert (scrapes.unit, scrapes.lost) == ("scrapes", scrapes.recorded.lost.get("scrape failed", 0))
        assert scrapes.recorded.items >= 3

        auditor.begin()
        console.receiver.faults = Faults(partial_reject=1, signals=("logs",))
        send(service, 12)
        auditor.rest()
        # What was not rejected may be on its way when the loss is known.
        found = auditor.until(lambda one: one["logs"].recorded.lost and missing(one["logs"]), "rejected")
        rejected = sum(found["logs"].recorded.lost.values())
        assert missing(found["logs"]) == {("the service", "rejected"): rejected}
        assert found["logs"].completeness == pytest.approx(1 - rejected / found["logs"].recorded.items)
        assert found["traces"].completeness == 1


def test_alert_when_backend_rejects(start_service: StartService, console: Console, tmp_path: Path) -> None:
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


def test_jaeger_reports_what_came_twice() -> None:
    def spans(mode: str, *ids: int) -> dict[str, Any]:
        resource = {"service.name": "user-api", "export.mode": mode}
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in resource.items()]
        found = [
            {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "startTimeUnixNano": str(10**10 + number)}
            for number in ids
        ]
        return {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": found}]}

    traces = {"result": {"resourceSpans": [spans("direct", 1, 2, 2, 3), spans("collector", 4)]}}
    with Answering({"/api/v3/traces": traces}) as server:
        stored = stores.spans(Jaeger(server.url), "user-api", "direct", Window(9.0, 11.0), {})
    assert (stored.items, stored.twice) == (3, 1)
    assert stored.newest == pytest.approx(10.0)
