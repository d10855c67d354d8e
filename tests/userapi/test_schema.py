"""The OpenAPI document: valid, complete, and kept by the running service."""

import json
from functools import cache
from typing import Any

import pytest
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans

from userapi.users.models import User


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(client.get("/schema").content)
    return body


@cache
def api_schema() -> Any:
    import schemathesis  # which takes a second, in each process that collects

    return schemathesis.openapi.from_wsgi("/schema", get_wsgi_application(), headers={"Host": "localhost"})


def test_schema_is_valid_and_without_warnings(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_schema_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")


def test_schema_has_every_operation(document: dict[str, Any]) -> None:
    operations = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert operations == {
        ("/users", "get"),
        ("/users", "post"),
        *(("/users/{id}", method) for method in ("get", "put", "patch", "delete")),
        ("/auth/token", "post"),
        ("/auth/logout", "post"),
    }


def test_every_operation_documents_problems_and_authentication(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            errors = {status: response for status, response in operation["responses"].items() if status[0] in "45d"}
            assert {"401", "403", "406", "503", "default"} <= set(errors), (path, method)
            assert all(set(response["content"]) == {"application/problem+json"} for response in errors.values())
            assert operation["security"], (path, method)


def test_list_documents_its_parameters(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/users"]["get"]["parameters"]
    names = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    assert names == {"cursor", "email", "ordering", "page_size", "search"}


def test_list_documents_which_parameters_may_be_empty(document: dict[str, Any]) -> None:
    """Those whose values are not any text; tests/userapi/bad_requests.py sends all of them empty."""
    parameters = document["paths"]["/users"]["get"]["parameters"]
    assert {each["name"] for each in parameters if each.get("allowEmptyValue")} == {"ordering", "page_size"}


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(
    ("path", "method"),
    [("/users", "GET"), ("/users", "POST"), *(("/users/{id}", method) for method in ("GET", "PUT", "PATCH", "DELETE"))],
)
def test_service_keeps_the_schema(token: str, path: str, method: str, mode: str) -> None:
    """Valid and invalid requests, made from the schema, sent to the WSGI application; the same ones at each run."""
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    kept = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
        checks.unsupported_method,
    ]
    existing = User.objects.create(name="Test", email="existing@example.com").id
    headers = {"Authorization": f"Bearer {token}", "Host": "localhost"}

    @settings(max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=api_schema()[path][method].as_strategy(generation_mode=GenerationMode(mode)), known=booleans())
    def check(case: Any, known: bool) -> None:
        if known and case.path_parameters and mode == "positive":
            case.path_parameters["id"] = str(existing)
        case.call_and_validate(headers=headers, checks=kept)

    check()
