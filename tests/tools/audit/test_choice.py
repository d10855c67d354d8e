"""Of several running services the one that is meant is audited, and the report names what its figures are of."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command

from telemetry.tools.audit.audit import Audit, audit
from telemetry.tools.audit.report import report_data, report_text
from telemetry.tools.console.server import Console
from telemetry.tools.doctor.configuration import Running
from telemetry.tools.doctor.places import Places
from tests.tools.console.client import many_ids, post, traces

GREETER = {"run": 1, "service": "greeter", "mode": "collector", "address": "http://127.0.0.1:8082"}
USER_API = {"run": 2, "service": "user-api", "mode": "collector", "address": "http://127.0.0.1:8080"}
SECOND = {"run": 3, "service": "user-api", "mode": "collector", "address": "http://127.0.0.1:9080"}


def audited(
    monkeypatch: pytest.MonkeyPatch, services: list[dict[str, Any]], given: Mapping[str, str], senders: list[str]
) -> tuple[list[str], Audit]:
    """Audit beside a console that has a span of each sender; return which services were asked, and what was found."""
    asked: list[str] = []

    def answer(service: dict[str, Any] | None, _timeout: float) -> Running | None:
        if service is None:
            return None
        asked.append(service["address"])
        signals = {name: {"exporter": "otlp"} for name in ("traces", "metrics", "logs")}
        return Running(service | {"version": "1", "signals": signals})

    monkeypatch.setattr("telemetry.tools.audit.audit.running_services", lambda: services)
    monkeypatch.setattr("telemetry.tools.audit.audit.running_service", answer)
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        for one, sender in zip(many_ids(len(senders)), senders, strict=True):
            post(f"{console.http_endpoint}/v1/traces", traces([one], service=sender))
        return asked, audit(Places.read({"console": console.url, **given}, 10.0, {}), 60, {}, settled=0)


def test_service_of_this_project_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, found = audited(monkeypatch, [GREETER, USER_API], {}, ["user-api"])
    assert (asked, found.choice) == ([USER_API["address"]], "")
    assert report_text(found, 99.9).startswith("user-api, mode collector, ")


def test_header_names_all_whose_figures_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console adds up what has come in a mode, whoever sent it."""
    _, found = audited(monkeypatch, [GREETER, USER_API], {}, ["user-api", "greeter", "user-api-worker"])
    head = report_text(found, 99.9).splitlines()[0]
    assert head.startswith("greeter, user-api and user-api-worker together, mode collector, ")
    assert head.endswith(", counted by their own metrics in the console")
    assert found.is_whole
    assert report_data(found, 0.999)["services"] == ["greeter", "user-api", "user-api-worker"]


def test_choice_among_several_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, found = audited(monkeypatch, [SECOND, GREETER, USER_API], {}, ["user-api"])
    said = (
        "2 services named user-api are running in mode collector: examining user-api at http://127.0.0.1:8080 "
        "(process 2); --service URL selects another one"
    )
    assert (asked, report_text(found, 99.9).splitlines()[1]) == ([USER_API["address"]], said)
    assert report_data(found, 0.999)["choice"] == said


def test_service_that_is_given_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, found = audited(monkeypatch, [SECOND, USER_API], {"service": "http://localhost:9080"}, ["user-api"])
    assert (asked, found.choice) == ([SECOND["address"]], "")
    asked, found = audited(monkeypatch, [SECOND, USER_API], {"service": "http://localhost:7"}, ["user-api"])
    assert (asked, "listens at http://localhost:7: auditing what" in found.choice) == ([], True)


def test_window_that_has_no_effect_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("telemetry.tools.audit.audit.running_services", list)
    monkeypatch.setattr("telemetry.tools.management.commands.audit.audit", partial(audit, settled=0))
    monkeypatch.setenv("TELEMETRY_MODE", "collector")
    said = "audit: --window has no effect: the console counts since its start\n"
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        post(f"{console.http_endpoint}/v1/traces", traces(many_ids(1)))
        for arguments, expected in ((["--window=1h"], said), ([], "")):
            with pytest.raises(SystemExit):
                call_command("audit", f"--console={console.url}", "--json", *arguments)
            assert capsys.readouterr().err == expected
