"""Errors are RFC 9457 documents, whoever answers: views, middleware, unknown routes, unexpected exceptions."""

import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError
from django.test import Client
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from userapi.users.views import UserDetail

pytestmark = pytest.mark.django_db
MEDIA_TYPE = "application/problem+json"


@pytest.fixture
def traced() -> Iterator[str]:
    """The id of the trace that the test runs in."""
    with use_span(NonRecordingSpan(SpanContext(trace_id=0xABC, span_id=1, is_remote=False))):
        yield f"{0xABC:032x}"


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(UserDetail, "get", fail)


def test_problem_has_the_members_of_the_rfc(api: Client) -> None:
    assert api.get("/nothing?search=secret").json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address.",
        "instance": "/nothing",
    }


@pytest.mark.parametrize("path", ["/nothing", "/users/1", "/users?page_size=0", "/users?cursor=x"])
def test_problem_names_the_trace(api: Client, traced: str, path: str) -> None:
    assert api.get(path).json()["trace_id"] == traced


def test_problem_without_trace_names_none(api: Client) -> None:
    assert "trace_id" not in api.get("/nothing").json()


def test_invalid_values_are_listed_by_field(api: Client) -> None:
    problem = api.post("/users", {"name": "", "email": "x"}, content_type="application/json").json()
    assert problem["errors"] == {"name": ["This field may not be blank."], "email": ["Enter a valid email address."]}


def test_unexpected_exception_is_a_problem(api: Client, monkeypatch: pytest.MonkeyPatch, traced: str) -> None:
    fail_with(monkeypatch, RuntimeError("secret"))
    response = api.get(f"/users/{uuid4()}")
    assert (response.status_code, response["Content-Type"]) == (500, MEDIA_TYPE)
    assert response.json()["trace_id"] == traced
    assert b"secret" not in response.content


def test_unexpected_exception_reaches_the_log(
    api: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_with(monkeypatch, RuntimeError("for the log"))
    api.get(f"/users/{uuid4()}")
    (record,) = [record for record in caplog.records if record.name == "django.request"]
    assert record.exc_info
    assert str(record.exc_info[1]) == "for the log"


@pytest.mark.parametrize("error", [OperationalError("secret"), OperationalError("database is locked")])
def test_database_that_is_down_is_503(api: Client, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fail_with(monkeypatch, error)
    response = api.get(f"/users/{uuid4()}")
    assert (response.status_code, response["Content-Type"], response["Retry-After"]) == (503, MEDIA_TYPE, "1")
    assert b"secret" not in response.content


def test_database_that_is_down_is_recorded_on_the_span(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, OperationalError("gone"))
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("request"):
        api.get(f"/users/{uuid4()}")
    (event,) = exporter.get_finished_spans()[0].events
    assert (event.attributes or {})["exception.message"] == "gone"


def test_other_violation_than_of_the_email_is_no_conflict(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, IntegrityError("NOT NULL constraint failed: users_user.name"))
    assert api.get(f"/users/{uuid4()}").status_code == 500


def test_method_not_allowed_names_the_allowed(api: Client) -> None:
    response = api.patch("/users")
    assert (response.status_code, response["Allow"]) == (405, "GET, POST, HEAD, OPTIONS")


def test_missing_credentials_name_the_scheme(client: Client) -> None:
    response = client.get("/users")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert response["Content-Type"] == MEDIA_TYPE


def test_browser_gets_problem_inside_the_browsable_api(client: Client) -> None:
    response = client.get("/users", headers={"accept": "text/html"})
    assert (response.status_code, response["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert b"about:blank" in response.content


def test_documents_page_answers_errors_in_json(client: Client) -> None:
    response = client.post("/docs", headers={"accept": "application/json"})
    assert (response.status_code, response["Content-Type"]) == (406, MEDIA_TYPE)


def test_unknown_address_under_admin_is_the_admins(admin_client: Client) -> None:
    response = admin_client.get("/admin/nothing")
    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_log_of_an_error_has_route_and_no_path(api: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.get("/users/älice@example.com?search=bob@example.com")
    api.get(f"/users/{uuid4()}")
    messages = [record.getMessage() for record in caplog.records if record.name == "django.request"]
    assert messages == ["Not Found: unmatched", "Not Found: /users/{id}"]
