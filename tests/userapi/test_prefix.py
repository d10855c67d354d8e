"""The service below a path prefix (SCRIPT_NAME): every link, page and probe has it."""

import json
import re
from collections.abc import Callable

import pytest

from tests.support.service import Service


@pytest.fixture(scope="module")
def service(share_service: Callable[..., Service]) -> Service:
    return share_service("--workers=1", SCRIPT_NAME="/api", TELEMETRY_MODE="direct", OTEL_TRACES_EXPORTER="none")


def test_links_of_pages_have_the_prefix_and_lead_somewhere(service: Service) -> None:
    found: set[str] = set()
    for page in ("/api/", "/api/docs", "/api/admin/login/"):
        status, _, body = service.get(page, Accept="text/html")
        assert status == 200, page
        links = set(re.findall(r'(?:href|src)="(/[^"]*)"', body.decode()))
        assert links, page
        found |= links
    assert {"/api/livez", "/api/readyz", "/api/metrics", "/api/users", "/api/admin/"} <= found
    for link in found:
        assert link.startswith("/api/"), link
        assert service.get(link)[0] in {200, 302}, link


def test_redirects_keep_the_prefix(service: Service) -> None:
    for path, target in (("/api/admin", "/api/admin/"), ("/api/users/", "/api/users")):
        assert service.get(path)[1]["location"] == target


def test_cookies_are_for_the_prefix(service: Service) -> None:
    assert "; Path=/api;" in service.get("/api/admin/login/")[1]["set-cookie"]


def test_schema_names_the_prefix(service: Service) -> None:
    document = json.loads(service.get("/api/schema", Accept="application/json")[2])
    assert document["servers"] == [{"url": "/api"}]
    assert "/users" in document["paths"]


def test_routes_in_the_telemetry(service: Service) -> None:
    assert service.get("/api/users")[0] == 200
    assert service.get("/api/static/userapi/home.css")[0] == 200
    text = service.get("/api/metrics")[2].decode()
    routes = set(re.findall(r'http_server_request_duration_seconds_count{[^}]*http_route="([^"]*)"', text))
    assert {"/users", "/static/{path}"} <= routes
