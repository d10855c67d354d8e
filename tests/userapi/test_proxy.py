"""What a client or a proxy may say about a request: nothing, unless DJANGO_BEHIND_PROXY trusts the proxy."""

from collections.abc import Callable

import pytest
from django.test import Client

from telemetry import lifecycle
from tests.support.service import Service

FORWARDED = [
    {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-Protocol": "ssl"},
    {"X-Forwarded-Ssl": "on"},
    {"Forwarded": "proto=https"},
]
# Names with an underscore are what gunicorn takes for variables of its own.
VARIABLES = [{"SCRIPT_NAME": "/public"}, {"PATH_INFO": "/metrics"}, {"REMOTE_USER": "admin"}]


@pytest.fixture(scope="module")
def service(share_service: Callable[..., Service], request: pytest.FixtureRequest) -> Service:
    """One behind a trusted proxy, and one that trusts none."""
    return share_service(
        "--workers=1",
        TELEMETRY_MODE="direct",
        OTEL_TRACES_EXPORTER="none",
        DJANGO_HTTPS="true",
        DJANGO_BEHIND_PROXY=request.param,
    )


@pytest.mark.parametrize("service", ["false"], indirect=True)
def test_no_header_makes_a_request_secure(service: Service) -> None:
    for headers in [{}, *FORWARDED]:
        status, answer, _ = service.get("/users", **headers)
        assert (status, answer.get("location", "")[:8]) == (301, "https://"), headers


@pytest.mark.parametrize("service", ["true"], indirect=True)
def test_trusted_proxy_sets_the_scheme(service: Service) -> None:
    assert service.get("/users", **{"X-Forwarded-Proto": "https"})[0] == 200
    for headers in [{}, {"X-Forwarded-Proto": "http"}, *FORWARDED[1:]]:
        assert service.get("/users", **headers)[0] == 301, headers


@pytest.mark.parametrize("service", ["false", "true"], indirect=True)
@pytest.mark.parametrize("headers", VARIABLES, ids=lambda headers: next(iter(headers)))
def test_no_header_moves_a_path(service: Service, headers: dict[str, str]) -> None:
    secure = {"X-Forwarded-Proto": "https"}
    assert service.get("/metrics")[0] == 200
    assert service.get("/public/metrics", **secure, **headers)[0] in (301, 404)
    assert b"http_server_request_duration" not in service.get("/public/metrics", **secure, **headers)[2]
    assert b"http_server_request_duration" not in service.get("/", **secure, **headers)[2]


def test_metrics_under_a_prefix_ask_for_the_token(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "direct")
    monkeypatch.setenv("METRICS_TOKEN", "a-token-of-16-signs")
    monkeypatch.setattr(lifecycle._Process, "config", None)
    monkeypatch.setattr(lifecycle._Process, "recording", None)
    assert client.get("/metrics", SCRIPT_NAME="/public").status_code == 401
