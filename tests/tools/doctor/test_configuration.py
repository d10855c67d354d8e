"""Which of several running services is examined, and what of its configuration is not this shell's."""

from typing import Any

import pytest

from telemetry.config import Mode, TelemetryConfig
from telemetry.project import Project
from telemetry.tools.doctor.configuration import (
    Running,
    assessed,
    chosen,
    effective,
    from_environment,
    listening_at,
    urls_of,
)
from telemetry.tools.doctor.doctor import Doctor
from telemetry.tools.doctor.places import Places
from telemetry.tools.doctor.walk import Walk
from tests.tools.doctor.conftest import Quiet


def service(name: str, mode: Mode, address: str) -> dict[str, Any]:
    """What is known of a running service."""
    return {"run": len(address), "service": name, "mode": mode, "address": address}


# As the demo has them, in an order that nothing decides.
WORKER = service("user-api-worker", "collector", "")
GREETER = service("greeter", "collector", "http://127.0.0.1:8082")
COLLECTOR = service("user-api", "collector", "http://127.0.0.1:8080")
DIRECT = service("user-api", "direct", "http://127.0.0.1:8081")
SECOND = service("user-api", "collector", "http://127.0.0.1:9080")
DEMO = [WORKER, GREETER, COLLECTOR, DIRECT]
HOPS = [GREETER, WORKER]


@pytest.mark.parametrize(
    ("services", "environ", "expected"),
    [
        (DEMO, {}, COLLECTOR),
        (DEMO, {"TELEMETRY_MODE": "direct"}, DIRECT),
        (DEMO, {"OTEL_SERVICE_NAME": "greeter"}, GREETER),
        (DEMO, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=user-api-worker"}, WORKER),
        ([*HOPS, DIRECT], {}, DIRECT),  # nothing in this shell says collector
        ([COLLECTOR], {}, COLLECTOR),
        ([], {}, None),
    ],
)
def test_service_of_this_project_is_examined(
    services: list[dict[str, Any]], environ: dict[str, str], expected: dict[str, Any] | None
) -> None:
    assert chosen(services, from_environment(environ)) == (expected, "")


@pytest.mark.parametrize(
    ("services", "environ", "expected", "said"),
    [
        (
            [SECOND, *DEMO],
            {},
            COLLECTOR,
            "2 services named user-api are running in mode collector: examining user-api at ",
        ),
        (
            [*HOPS, DIRECT],
            {"TELEMETRY_MODE": "collector"},
            GREETER,
            "no service named user-api is running in mode collector: examining greeter at ",
        ),
        (
            [*HOPS, COLLECTOR],
            {"TELEMETRY_MODE": "direct"},
            COLLECTOR,
            "no service named user-api is running in mode direct: examining user-api at ",
        ),
        (
            [DIRECT, {**DIRECT, "address": "x:1"}],
            {},
            DIRECT,
            "2 services named user-api are running: examining user-api at http",
        ),
        (
            [WORKER],
            {},
            WORKER,
            "no service named user-api is running in mode collector: examining user-api-worker at no address (",
        ),
    ],
)
def test_choice_that_is_none_of_the_names_is_said(
    services: list[dict[str, Any]], environ: dict[str, str], expected: dict[str, Any], said: str
) -> None:
    found, choice = chosen(services, from_environment(environ))
    assert found == expected
    assert choice.startswith(said)
    assert choice.endswith("; --service URL selects another one")


def running(config: TelemetryConfig) -> Running:
    """A service with this configuration, and what it reports."""
    signals: dict[str, dict[str, Any]] = {}
    for name in ("traces", "metrics", "logs"):
        way = getattr(config, name)
        sent = {"destination": way.endpoint, "protocol": way.protocol} if way.exporter == "otlp" else {}
        signals[name] = {"exporter": way.exporter, **sent}
    status = {"mode": config.mode, "service": config.service_name, "version": "1", "signals": signals}
    return Running(status)


@pytest.mark.parametrize(
    ("services", "given", "url", "warned"),
    [
        (DEMO, {}, "http://127.0.0.1:8080", False),
        ([SECOND, *DEMO], {}, "http://127.0.0.1:8080", True),
        ([SECOND, *DEMO], {"service": "http://127.0.0.1:9080"}, "http://127.0.0.1:9080", False),
        ([WORKER], {}, "http://127.0.0.1:8080", False),  # it takes no request: the default
        ([service("user-api", "collector", "https://[::1]:8443")], {}, "https://[::1]:8443", False),
        ([service("user-api", "collector", "unix:/run/a.sock,http://10.0.0.5:80")], {}, "http://10.0.0.5:80", False),
    ],
)
def test_doctor_asks_the_chosen_one(
    monkeypatch: pytest.MonkeyPatch, services: list[dict[str, Any]], given: dict[str, str], url: str, *, warned: bool
) -> None:
    walk = Walk(Quiet())
    doctor = Doctor(Places(given, 1.0), walk, "/", environ={})
    monkeypatch.setattr("telemetry.tools.doctor.doctor.running_services", lambda: services)
    monkeypatch.setattr("telemetry.tools.doctor.configuration.running_service", lambda *_: None)
    monkeypatch.setattr("telemetry.tools.doctor.doctor.Course.run", lambda _: None)
    doctor.run()
    assert doctor.service
    assert doctor.service.base == url
    assert ("--service URL selects" in walk.results[0].remedy) is warned


@pytest.mark.parametrize(
    ("address", "urls"),
    [
        ("http://0.0.0.0:8080,https://[::]:8443", ["http://127.0.0.1:8080", "https://[::1]:8443"]),
        ("https://[fd00::2]:8443", ["https://[fd00::2]:8443"]),
        ("x:1", ["http://x:1"]),
        ("unix:/run/a.sock", []),
        ("http://[x:80", []),
        ("", []),
    ],
)
def test_urls_at_which_a_service_can_be_asked(address: str, urls: list[str]) -> None:
    assert urls_of(service("user-api", "collector", address)) == urls


@pytest.mark.parametrize(
    ("address", "url", "listens"),
    [
        ("http://127.0.0.1:8080", "http://localhost:8080", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081", False),
        ("http://127.0.0.1:8080", "http://192.0.2.77:8080", False),
        ("http://127.0.0.1:8080", "http://staging.invalid:8080", False),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080", True),
        ("http://0.0.0.0:8080", "http://192.0.2.77:8080", False),  # of no machine (RFC 5737)
        ("https://[::]:443", "https://localhost", True),
        ("http://10.0.0.5:8080", "http://10.0.0.5:8080", True),
        ("http://10.0.0.5:8080", "http://127.0.0.1:8080", False),
        ("unix:/run/a.sock,http://127.0.0.1:80", "http://127.0.0.1", True),
    ],
)
def test_service_of_a_url_listens_there(address: str, url: str, *, listens: bool) -> None:
    one = service("user-api", "collector", address)
    assert listening_at([GREETER, one], url) == (one if listens else None)


def test_place_of_the_metrics_is_the_project_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.lifecycle._Process.project", Project("shop", metrics_path="/internal"))
    assert "metrics at /internal" in assessed(from_environment({"TELEMETRY_MODE": "direct"}), []).detail


ELSEWHERE = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:24318",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:24318/v1/logs",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
DIRECTLY = {"TELEMETRY_MODE": "direct"}


@pytest.mark.parametrize(
    ("here", "differences"),
    [
        ({}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, []),  # nobody has set where to
        ({"OTEL_LOGS_EXPORTER": "console"}, ["OTEL_LOGS_EXPORTER is otlp there, console here"]),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4317"},
            ["traces go to http://127.0.0.1:24318/v1/traces there, http://a:4317 here"],
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, ["traces use http/protobuf there, grpc here"]),
    ],
)
def test_difference_of_what_is_set_here_alone(here: dict[str, str], differences: list[str]) -> None:
    there = running(from_environment(DIRECTLY | ELSEWHERE))
    config, found = effective(from_environment(DIRECTLY | here), there)
    assert found == differences
    assert [config.traces.endpoint, config.logs.endpoint] == [
        f"http://127.0.0.1:24318/v1/{one}" for one in ("traces", "logs")
    ]


def test_endpoint_of_a_signal_that_stays_in_the_service() -> None:
    """It is what makes that signal leave, so it is set here as much as an exporter would be."""
    here = from_environment(DIRECTLY | {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://loki:3100/otlp/v1/logs"})
    assert effective(here, running(from_environment(DIRECTLY)))[1] == ["OTEL_LOGS_EXPORTER is console there, otlp here"]


def test_name_of_the_project_is_not_set_in_this_shell() -> None:
    greeter = running(from_environment({"OTEL_SERVICE_NAME": "greeter"}))
    assert effective(from_environment({}), greeter)[1] == []
    here = from_environment({"OTEL_SERVICE_NAME": "user-api"})
    assert effective(here, greeter)[1] == ["OTEL_SERVICE_NAME is greeter there, user-api here"]


def test_name_without_a_running_service_is_the_project_s() -> None:
    assert effective(from_environment({}), None)[0].service_name == "user-api"
