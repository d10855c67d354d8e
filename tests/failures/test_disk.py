"""A service whose disk (TELEMETRY_SPOOL_DIR) goes and comes back, with an exporter that is killed each time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import Fault
from telemetry.tools.console.server import Console
from tests.support.routes import Route, scraped_requests, send
from tests.support.service import Service, free_port, wait_until

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BLRP_SCHEDULE_DELAY": "200"}


def replace_exporter(service: Service) -> dict[str, Any]:
    """Kill the exporter; return what the next one reports."""
    status = wait_until(service.status)
    assert status
    psutil.Process(status["pid"]).kill()

    def replaced() -> dict[str, Any] | None:
        service.get("/livez")
        found = service.status(timeout=2)
        return found if found and found["pid"] != status["pid"] else None

    found = wait_until(replaced, 60, "a new exporter")
    assert found
    return found


def test_disk_that_is_away_while_an_exporter_starts(
    console: Console, start_service: Callable[..., Service], tmp_path: Path
) -> None:
    """No count goes back, and all that was recorded arrives once: before, meanwhile and afterwards."""
    mounted, away = tmp_path / "spool", tmp_path / "away"
    with FaultProxy(console.http_port, port=free_port(), fault=Fault("refuse")) as proxy:
        env = Route("direct", "http/protobuf").env_for(proxy.port, proxy.port)
        service = start_service("--workers=1", **env, **QUICK, TELEMETRY_SPOOL_DIR=str(mounted))
        send(service, 30)
        for _ in range(10):
            wait_until(service.status)  # each is a commit
        scraped = [scraped_requests(service)]
        mounted.rename(away)
        mounted.symlink_to(mounted)  # nothing can be made there
        assert replace_exporter(service)["signals"]["traces"]["spool"]["folder"] != str(mounted)
        scraped.append(scraped_requests(service))
        send(service, 18)
        scraped.append(scraped_requests(service))
        mounted.unlink()
        away.rename(mounted)
        replace_exporter(service)
        scraped.append(scraped_requests(service))
        assert scraped == [30, 30, 48, 48]
        proxy.fault = Fault()
        wait_until(lambda: console.store.mode("direct").server_spans == 48, 60, "all spans")
        service.stop()
    spans = [span.span_id for span in console.store.spans() if span.kind == "server"]
    assert (len(spans), len(set(spans))) == (48, 48)
