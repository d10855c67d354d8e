"""A real service and a real receiver, in both modes over both protocols: every hop is passed, and nothing is left."""

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import pytest

from telemetry.tools.console.pages.modes import shown_modes
from tests.support.routes import PAIRS, ROUTES, Route
from tests.tools.doctor.conftest import Pair, diagnose, run_doctor

KEYS = ["hop", "target", "state", "seconds", "detail", "remedy"]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_every_hop_passed(own_pair: Callable[..., Pair], route: Route) -> None:
    """And the counts of the service hold one request: what the doctor sends is another service's, without a mode."""
    examined = own_pair(route, OTEL_EXPORTER_OTLP_HEADERS="x-key=hush-hush", METRICS_TOKEN="hush-hush")
    found = examined.diagnose()
    assert (found.passed, found.failed, found.report["mode"]) == (True, [], route.mode), found.text
    for name in ("trace", "log", "metric", "exemplar"):
        assert found.hop(name)["state"] == "ok", found.text
    assert "hush" not in found.text
    store = examined.console.store
    assert len(store.trace(found.report["trace_id"])) == 2  # the server span and its query
    totals = store.mode(route.mode)
    requests: Any = totals.requests_otlp if route.mode == "collector" else totals.requests_scraped
    assert (totals.server_spans, totals.spans, totals.access_records, requests) == (1, 2, 1, 1)
    own = [span for span in store.spans() if span.resource.service == "user-api-doctor"]
    assert [(span.scope.name, span.kind, span.resource.mode) for span in own] == [
        ("telemetry.doctor", "internal", "unknown")
    ]


@pytest.mark.parametrize("route", PAIRS, ids=str)
def test_shell_without_variables_is_not_warned_about_them(
    own_pair: Callable[..., Pair], collected: Pair, route: Route
) -> None:
    """What differs was not set; and where each signal goes is shown in full."""
    examined = collected if route.mode == "collector" else own_pair(route)
    found = diagnose(examined.places, {})
    configuration = found.hop("configuration")
    assert (found.passed, configuration["state"], configuration["remedy"]) == (True, "ok", None), found.text
    logs = f"http://127.0.0.1:{examined.console.grpc_port if route.protocol == 'grpc' else examined.console.http_port}"
    assert f"{logs}{'' if route.protocol == 'grpc' else '/v1/logs'} ({route.protocol})" in configuration["detail"]


def test_doctor_leaves_no_mode_on_the_overview(collected: Pair) -> None:
    """But another sender without a mode does."""
    assert collected.diagnose().passed
    assert "unknown" in collected.console.store.totals()
    assert shown_modes(collected.console.store) == ["collector"]
    record = {"body": {"stringValue": "hello"}, "timeUnixNano": "1"}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    request = Request(
        f"http://127.0.0.1:{collected.console.http_port}/v1/logs", body, {"Content-Type": "application/json"}
    )
    with urlopen(request) as answer:  # noqa: S310
        assert answer.status == 200
    assert shown_modes(collected.console.store) == ["collector", "unknown"]


@pytest.fixture(scope="module")
def collected(pair: Callable[..., Pair]) -> Pair:
    """A service in collector mode, for what does not change it."""
    return pair(Route("collector", "grpc"))


def test_command_json(collected: Pair) -> None:
    ended = run_doctor("--json", *(f"--{name}={url}" for name, url in collected.places.items()), **collected.env)
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert list(report) == ["passed", "stops_at", "mode", "service", "trace_id", "hops"]
    assert (report["passed"], report["stops_at"], report["service"]) == (True, None, collected.places["service"])
    assert all(list(hop) == KEYS for hop in report["hops"])
    assert {hop["state"] for hop in report["hops"]} == {"ok", "not checked"}
    assert all(isinstance(hop["seconds"], float) and hop["detail"] for hop in report["hops"])


def test_command_text(collected: Pair) -> None:
    """One line a hop with the time that it took, no control characters where there is no terminal."""
    ended = run_doctor(*(f"--{name}={url}" for name, url in collected.places.items()), **collected.env)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("ok          configuration ")
    (trace,) = [line for line in lines if line.startswith("ok          trace the console ")]
    assert " s  2 spans, 'GET /users/{id}' of user-api, " in trace
    assert lines[-2] == "Every checked hop passed."
    assert "\x1b" not in ended.stdout


def test_places_from_environment(collected: Pair) -> None:
    places = {
        "TELEMETRY_SERVICE_URL": collected.places["service"],
        "TELEMETRY_CONSOLE_URL": collected.places["console"],
    }
    assert run_doctor("--wait=30", **collected.env, **places).returncode == 0


@pytest.mark.parametrize("policy", ["link", "ignore"])
def test_trace_of_its_own(own_pair: Callable[..., Pair], policy: str) -> None:
    """Where the service begins its own traces, its answer has the id; of a few shares it is one that is kept."""
    sampling = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    examined = own_pair(Route("collector", "grpc"), TELEMETRY_INCOMING_CONTEXT=policy, **sampling)
    found = examined.diagnose()
    assert found.passed, found.text
    assert "started by the service" in found.hop("request")["detail"]
    assert len(examined.console.store.trace(found.report["trace_id"])) == 2


def test_closed_service_behind_a_proxy(own_pair: Callable[..., Pair]) -> None:
    """The request is refused, and followed all the same; a sampler that keeps few keeps it."""
    env = {"USERAPI_OPEN_ACCESS": "false", "DJANGO_HTTPS": "true", "DJANGO_BEHIND_PROXY": "true"}
    sampling = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.001"}
    found = own_pair(Route("collector", "grpc"), **env, **sampling).diagnose()
    assert (found.passed, "HTTP 401" in found.hop("request")["detail"]) == (True, True), found.text


def test_shell_with_another_configuration(collected: Pair) -> None:
    """What the running service reports counts, the difference is shown, and headers stay with their own place."""
    elsewhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://nowhere.invalid:4317"}
    found = collected.diagnose(TELEMETRY_MODE="direct", **elsewhere)
    assert (found.passed, found.report["mode"]) == (True, "collector"), found.text
    assert "(TELEMETRY_MODE is collector there, direct here)" in found.hop("configuration")["remedy"]
    found = collected.diagnose(**elsewhere)
    assert found.passed, found.text
    configuration = found.hop("configuration")
    assert configuration["state"] == "warning"
    assert f"traces go to http://127.0.0.1:{collected.console.grpc_port} there" in configuration["remedy"]
