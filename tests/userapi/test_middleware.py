"""The access record and the guards."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from tests.support.service import Service
from userapi.middleware import StaticFilesMiddleware
from userapi.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    caplog.set_level(logging.INFO)
    return lambda: [record for record in caplog.records if record.name == "userapi.access"]


def test_access_record_has_method_route_status_and_duration(api: Client, records: Callable[[], list[Any]]) -> None:
    api.get(f"/users/{uuid4()}")
    (record,) = records()
    assert record.getMessage() == "GET /users/{id} 404"
    values = vars(record)
    assert values["http.request.method"] == "GET"
    assert values["http.route"] == "/users/{id}"
    assert values["http.response.status_code"] == 404
    assert 0 < values["http.server.request.duration"] < 10


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/users", "GET /users 200"),
        ("GET", "/", "GET / 200"),
        ("GET", "/users/secret@example.com", "GET unmatched 404"),
        ("GET", "/static/userapi/home.css", "GET /static/{path} 200"),
        ("GET", "/static/secret.css", "GET /static/{path} 404"),
        ("BREW", "/users", "_OTHER /users 405"),
    ],
)
def test_access_record_names_no_path(
    api: Client, records: Callable[[], list[Any]], method: str, path: str, message: str
) -> None:
    response = api.generic(method, path)
    response.close()
    assert [record.getMessage() for record in records()] == [message]


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
def test_probe_leaves_no_access_record(api: Client, records: Callable[[], list[Any]], path: str) -> None:
    api.get(path)
    assert records() == []


@pytest.fixture(scope="module")
def service(share_service: Callable[..., Service]) -> Service:
    return share_service("--workers=1", TELEMETRY_MODE="direct", OTEL_TRACES_EXPORTER="none")


def test_unknown_host_leaves_a_record_with_telemetry_on(service: Service) -> None:
    status, headers, _ = service.get("/users", Host="secret.example")
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert "GET unmatched 400" in service.output
    assert "secret.example" not in service.output


def test_access_record_is_written_inside_the_trace(service: Service) -> None:
    problem = json.loads(service.get(f"/users/{uuid4()}")[2])
    (line,) = [json.loads(line) for line in service.output.splitlines() if "GET /users/{id} 404" in line]
    assert line["trace_id"] == problem["trace_id"]


def test_body_up_to_the_limit_is_read(api: Client, settings: Any) -> None:
    body = b'{"name": "Test", "email": "test@example.com"}'
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(body)
    assert api.generic("POST", "/users", body, "application/json").status_code == 201
    assert api.generic("POST", "/users", body + b" ", "application/json").status_code == 413
    assert User.objects.count() == 1


@pytest.mark.parametrize(("length", "status"), [("9" * 5000, 413), ("0" * 5000 + "9", 400), ("\u00b2", 400)])
def test_body_of_odd_length_is_refused(api: Client, length: str, status: int) -> None:
    assert api.post("/users", {}, "application/json", CONTENT_LENGTH=length).status_code == status


def test_body_of_unknown_length_is_refused(api: Client) -> None:
    response = api.generic("POST", "/users", headers={"transfer-encoding": "chunked"})
    assert (response.status_code, response["Content-Type"]) == (411, "application/problem+json")


@pytest.mark.parametrize(("charset", "status"), [("utf-8", 200), ("UTF-8", 200), ("latin-1", 415), ("", 415)])
def test_charset_other_than_utf8_is_refused(api: Client, charset: str, status: int) -> None:
    response = api.get("/users", CONTENT_TYPE=f"application/json; charset={charset}")
    assert response.status_code == status


def test_static_files_are_looked_for_at_the_first_request_for_one(rf: RequestFactory) -> None:
    middleware = StaticFilesMiddleware(lambda _: HttpResponse(status=404))
    assert middleware(rf.get("/users")).status_code == 404
    assert middleware.files == {}
    with ThreadPoolExecutor(4) as clients:
        answers = clients.map(lambda _: middleware(rf.head("/static/userapi/home.css")).status_code, range(4))
        assert list(answers) == [200] * 4
    assert middleware(rf.head("/static/nothing.css")).status_code == 404
