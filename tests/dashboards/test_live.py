"""The command that asks a running stack sees what is missing. What has data is seen where there are real servers."""

from collections.abc import Callable

import pytest

from tests.dashboards.live import Verdict, excuse, main
from tests.dashboards.queries import of_dashboards, of_rules
from tests.support.prometheus import Prometheus
from tests.support.service import free_port


@pytest.mark.parametrize(
    ("verdict", "failed", "word"),
    [
        (Verdict("a panel", 3), False, "ok"),
        (Verdict("a panel", 0), True, "NO DATA"),
        (Verdict("a panel", 0, excuse="nothing is lost"), False, "empty"),
        (Verdict("a panel", 0, "400: parse error", "nothing is lost"), True, "FAILED"),
        (Verdict("a metric", 2, "has no label reason"), True, "FAILED"),
    ],
)
def test_live_verdict(verdict: Verdict, failed: bool, word: str) -> None:
    assert verdict.failed == failed
    assert str(verdict).startswith(word)


def test_live_excuses_are_few() -> None:
    excused = [found for found in of_dashboards() if found.where != "Alerts" and excuse(found)]
    assert len(excused) <= 6
    assert all(excuse(found) == "does not fire" for found in of_rules() if found.where[0].isupper())
    recorded = [found for found in of_rules() if found.where[0].islower()]
    assert {found.where for found in recorded if excuse(found)} == {
        "service:telemetry_items:increase1h",
        "pipeline:telemetry_items:increase1h",
        "pipeline:telemetry_lost:ratio1h",
    }
    of_items = [found for found in recorded if found.where == "service:telemetry_items:increase1h"]
    assert len([found for found in of_items if not excuse(found)]) == 5, "recorded, and without room in a journal"


def test_live_fails_where_nothing_is(
    prometheus: Callable[[str], Prometheus], capsys: pytest.CaptureFixture[str]
) -> None:
    """A real Prometheus that has no target but itself; Loki, Tempo and Grafana are not there."""
    server = prometheus(f"127.0.0.1:{free_port()}")
    absent = f"http://127.0.0.1:{free_port()}"
    arguments = ["--prometheus", server.url, "--loki", absent, "--tempo", absent, "--grafana", absent]
    assert main(arguments) == 1
    output = capsys.readouterr().out
    assert "NO DATA user-api-service: How many requests are answered?" in output
    # A zero would say that there is an Alloy that gets nothing, or a Tempo that loses nothing.
    assert "NO DATA user-api-pipeline: What comes into Alloy?" in output
    assert "NO DATA user-api-pipeline: What does Alloy lose?" in output
    assert "NO DATA user-api-pipeline: What does Tempo discard?" in output
    assert "ok      alerts.yml: TargetDown" in output or "empty   alerts.yml: TargetDown" in output
    assert f"FAILED  user-api-explore: What does the service log?: {absent} does not answer" in output
    assert "NO DATA tempo: tempo_distributor_spans_received_total" in output
    assert "FAILED  grafana: dashboard Pipeline" in output
