"""The audit with the console in place of the backends: complete without a loss, and each loss with its reason."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from telemetry.tools.account import percent
from telemetry.tools.audit.audit import audit
from telemetry.tools.console.counting.accounts import accounts
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.receiving.scraper import ScrapeTarget
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.retention import Limits
from telemetry.tools.console.storage.store import Store
from telemetry.tools.doctor.places import Places
from tests.support.routes import Route, send
from tests.support.service import ROOT, Service, free_port, wait_until
from tests.tools.audit.conftest import EAGER, Auditor, missing
from tests.tools.console.client import many_ids, post, request, traces

StartService = Callable[..., Service]

REFUSING = Faults(status=400, signals=("traces",))
DOWN = Faults(status=503, retry_after=0.2, signals=("traces",))
PARTLY = Faults(partial_reject=1, signals=("traces",))


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Run a command in this process; return its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        call_command(*arguments)
    return ended.value.code, capsys.readouterr().out


def overview(console: Console) -> str:
    """Return the console's first page."""
    return request(console.url + "/").body.decode()


@pytest.mark.parametrize("mode", ["collector", "direct"])
def test_losses_of_the_service(
    start_service: StartService, mode: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The backend takes all, refuses, rejects a part, and is down for longer than the spool has room."""
    grpc_port, http_port = free_port(), free_port()
    env = {**Route(mode, "http/protobuf").env_for(grpc_port, http_port), **EAGER, "OTEL_BSP_MAX_QUEUE_SIZE": "40"}
    service = start_service("--workers=1", **env)
    target = ScrapeTarget("service", f"http://127.0.0.1:{service.port}/metrics")
    with Console(
        grpc_port=grpc_port,
        http_port=http_port,
        api_port=0,
        scrape_targets=[target] if mode == "direct" else [],
        scrape_interval=0.2,
    ) as console:
        totals = partial(console.store.mode, mode)
        # The service is older than the console, which counts from its first count on.
        wait_until(lambda: totals().data_points or totals().scraped_samples, 60, "the service's first count")
        send(service, 10)
        wait_until(lambda: totals().server_spans == 10, what="the spans of all requests")
        spans = totals().spans
        auditor = Auditor(service, {"console": console.url}, env)
        found = auditor.until(lambda one: len(one) == 3 and one["traces"].recorded.items == spans, "complete")
        assert [account.completeness for account in found.values()] == [1, 1, 1]
        assert "100 % stored" in overview(console)

        console.receiver.faults = REFUSING
        send(service, 10)
        wait_until(lambda: totals().requests == 20, 60, "their counts")  # an answer may be ahead of its record
        refused = wait_until(lambda: losses(service, delivered=True), 60, "the answers to all spans")["refused"]
        found = auditor.until(lambda one: sum(one["traces"].recorded.lost.values()) == refused, "refused")
        assert missing(found["traces"]) == {("the service", "refused"): refused}
        assert found["traces"].recorded.items == spans + refused
        assert found["traces"].completeness == pytest.approx(spans / (spans + refused))
        assert found["logs"].completeness == 1
        assert f"{percent(spans / (spans + refused))} stored" in overview(console)

        console.receiver.faults = DOWN
        send(service, 50)
        wait_until(lambda: losses(service).get("queue_full"), 60, "a spool that overflows")
        wait_until(lambda: totals().requests == 70, 60, "their counts")
        console.receiver.faults = Faults()
        full = wait_until(lambda: losses(service, delivered=True), 60, "the rest")["queue_full"]
        found = auditor.until(lambda one: one["traces"].recorded.lost.get("queue_full") == full, "overflown")
        assert missing(found["traces"]) == {("the service", "refused"): refused, ("the service", "queue_full"): full}

        for name, value in {**env, "TELEMETRY_CONSOLE_URL": console.url}.items():
            monkeypatch.setenv(name, value)
        code, printed = command(capsys, "telemetry", "--audit", "--json")
        report = json.loads(printed)
        assert (code, report["complete"], report["mode"]) == (1, False, mode), printed
        assert report["signals"]["traces"]["lost"] == refused + full
        code, printed = command(capsys, "audit", f"--console={console.url}", "--objective=1")
        assert code == 0, printed
        assert f"missing: {full} spans, the service: queue_full" in printed


def test_young_service_is_waited_for(start_service: StartService) -> None:
    """Its own counts come with its first push; what goes to no backend is left out, and not unknown."""
    grpc_port, http_port = free_port(), free_port()
    env = Route("collector", "http/protobuf").env_for(grpc_port, http_port) | EAGER
    env |= {"OTEL_METRIC_EXPORT_INTERVAL": "3000", "OTEL_LOGS_EXPORTER": "console"}
    with Console(grpc_port=grpc_port, http_port=http_port, api_port=0) as console:
        service = start_service("--workers=1", **env)
        send(service, 5)
        wait_until(lambda: console.store.mode("collector").server_spans == 5, what="the spans of all requests")
        found = Auditor(service, {"console": console.url}, env, settled=30).audit()
    assert {one.signal: one.completeness for one in found.accounts} == {"traces": 1, "metrics": 1}
    assert (found.unknown, found.left_out) == ({}, {"logs": "not exported (OTEL_LOGS_EXPORTER is console)"})
    assert found.meets(0.999)


def test_missing_count_is_named(console: Console) -> None:
    """Of a service whose metrics have not come yet, when there is no time left."""
    post(f"{console.http_endpoint}/v1/traces", traces(many_ids(1)))
    places = Places.read({"console": console.url, "service": "http://127.0.0.1:1"}, 30.0, {})
    found = audit(places, 60, {"TELEMETRY_MODE": "collector"}, settled=0)
    assert found.unknown.keys() == {"traces", "metrics", "logs"}
    assert "no push or scrape with the service's own count reached the console" in found.unknown["traces"]
    assert not found.meets(0.5)


def losses(service: Service, *, delivered: bool = False) -> dict[str, int]:
    """Return the lost spans by reason, nothing unless all others are `delivered`."""
    status = service.status()
    if status is None:
        return {}
    traces = status["signals"]["traces"]
    found: dict[str, int] = traces["losses"]
    return {} if delivered and traces["queue"] + traces["in_flight"] else found


def test_older_service_is_counted_from_the_console_on(start_service: StartService) -> None:
    """What it has recorded before is not missing."""
    grpc_port, http_port = free_port(), free_port()
    env = {**Route("collector", "http/protobuf").env_for(grpc_port, http_port), **EAGER}
    with Console(grpc_port=grpc_port, http_port=http_port, api_port=0) as first:
        service = start_service("--workers=1", **env)
        send(service, 12)
        wait_until(lambda: first.store.mode("collector").requests_otlp == 12, 60, "the first requests")
        Auditor(service, {"console": first.url}, env).until(
            lambda all_: all(one.recorded.confirmed == one.recorded.items for one in all_.values()), "confirmed"
        )
    with Console(grpc_port=grpc_port, http_port=http_port, api_port=0) as second:
        auditor = Auditor(service, {"console": second.url}, env)
        auditor.until(lambda one: len(one) == 3, "heard of")
        send(service, 6)
        found = auditor.until(lambda one: one["logs"].recorded.items >= 6, "counted")
        assert [account.completeness for account in found.values()] == [1, 1, 1], found
        assert found["logs"].recorded.items < 12
        wait_until(lambda: set(second.store.mode("collector").comparable.values()) == {6}, what="equal counts")
        ended = subprocess.run(
            [sys.executable, "manage.py", "telemetry", "--audit", "--json"],
            cwd=ROOT,
            env={**os.environ, **env, "TELEMETRY_CONSOLE_URL": second.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, json.loads(ended.stdout)["complete"]) == (0, True), ended


def test_backlog_of_an_older_service_is_on_its_way() -> None:
    """What it confirms of the time before the console does not hide that newer spans still wait."""
    store = Store(Limits())

    def scrape(started: int, exported: int, time_ns: int) -> None:
        labels = 'export_mode="collector",otel_span_sampling_result="RECORD_AND_SAMPLE"'
        text = (
            "# TYPE otel_sdk_span_started counter\n"
            f"otel_sdk_span_started_total{{{labels}}} {started}\notel_sdk_span_started_created{{{labels}}} 1\n"
            "# TYPE otel_sdk_exporter_span_exported counter\n"
            f"otel_sdk_exporter_span_exported_total{{{labels}}} {exported}\n"
            f"otel_sdk_exporter_span_exported_created{{{labels}}} 1\n# EOF\n"
        )
        parse: Any = text_string_to_metric_families
        store.add_samples("service", parse(text), time_ns)

    scrape(22, 10, 1)
    SIGNALS["traces"].ingest(store, traces(many_ids(8)).SerializeToString(), 0)
    scrape(32, 30, 2)
    (found,) = accounts(store)["collector"]
    assert (found.recorded.items, found.stored.items, found.on_its_way) == (10, 8, 2)
    assert found.completeness == 1


def test_wrong_configuration_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "sideways")
    with pytest.raises(SystemExit, match="1"):
        call_command("telemetry", "--audit")
    ended = capsys.readouterr()
    assert ended.out == ""
    assert "TELEMETRY_MODE" in ended.err
    assert "sideways" in ended.err


def test_wrong_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call_command("audit", "--tempo=tempo:3200")
    assert capsys.readouterr().err.startswith("audit: --tempo: invalid URL")
    with pytest.raises(CommandError, match=r"argument --alloy: invalid choice: 'http://127.0.0.1:12345'"):
        call_command("audit", "--alloy=http://127.0.0.1:12345")
    for seconds in ("0", "-1", "nan", "x"):
        with pytest.raises(CommandError, match=rf"argument --timeout: invalid value '{seconds}'; expected seconds"):
            call_command("audit", f"--timeout={seconds}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--audit", "--window=1y"], "argument --window: invalid value '1y'; expected 10s to 7d, such as 15m, 1h, 2d"),
        (["--window=1h"], "--window needs --audit"),
        (["--audit", "--status"], "--status and --audit exclude each other"),
    ],
)
def test_wrong_options_of_the_short_command_are_named(options: list[str], message: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("telemetry", *options)
    assert (str(error.value), error.value.returncode) == (message, 2)
