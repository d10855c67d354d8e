"""`Accept` chooses between JSON and HTML by one rule, in answers and errors."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

JSON, HTML, NEITHER = "json", "html", "406"
ACCEPTED = {
    None: JSON,
    "*/*": JSON,
    "application/json": JSON,
    "application/*": JSON,
    "Application/JSON": JSON,
    "application/json; charset=utf-8": JSON,
    "application/json; indent=4": JSON,
    "application/json; indent=4, text/html": JSON,
    "application/json, text/plain, */*": JSON,
    "text/html": HTML,
    "text/*": HTML,
    "text/html; charset=utf-8": HTML,
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": HTML,
    "*/*, text/html": HTML,
    # Quality
    "text/html, application/json;q=0.9": HTML,
    "text/html;q=0.8, application/json;q=0.9": JSON,
    "text/html;Q=0.8, application/json;Q=0.9": JSON,
    "text/html;q=0.5, */*;q=0.9": JSON,
    "text/html;q=0.5, */*;q=0.1": HTML,
    "text/html;level=1;q=0.9, text/html;q=0.1, application/json;q=0.5": JSON,
    "text/html, application/json": JSON,
    # Not acceptable
    "application/json;q=0, text/html": HTML,
    "application/json;q=0, application/problem+json;q=0, */*": HTML,
    "*/*, text/html;q=0": JSON,
    "application/*;q=0, */*": HTML,
    "application/*;q=0, application/json": JSON,
    "application/json;q=0, text/html;q=0, */*": NEITHER,
    "*/*;q=0": NEITHER,
    "image/png": NEITHER,
    "application": NEITHER,
    "": NEITHER,
    # Malformed: ignored, or of quality 1
    "text/html;q=much, application/json;q=0.5": HTML,
    "text/html;q=nan, application/json;q=0.5": JSON,
    "text/html;x*=bogus'en'a, application/json;q=0.5": JSON,
    "text/html;x*=bogus'en'a": NEITHER,
    "/;;q=x": NEITHER,
}


@pytest.mark.parametrize(("accept", "expected"), ACCEPTED.items(), ids=str)
def test_answers_and_errors_have_one_rule(api: Client, accept: str | None, expected: str) -> None:
    headers = {} if accept is None else {"accept": accept}
    answer, unknown = (api.get(path, headers=headers) for path in ("/users", "/nothing"))
    problem = "text/html; charset=utf-8" if expected == HTML else "application/problem+json"
    assert (unknown.status_code, unknown["Content-Type"]) == (404, problem)
    if expected == NEITHER:
        assert (answer.status_code, answer["Content-Type"], answer.json()["status"]) == (406, problem, 406)
    else:
        assert (answer.status_code, answer["Content-Type"].split(";")[0].split("/")[1]) == (200, expected)
    assert "Accept" in answer["Vary"]
    assert "Accept" in unknown["Vary"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/vnd.oai.openapi+json"),
        ("application/json", "application/json"),
        ("application/json, */*;q=0.5", "application/json"),
        ("application/vnd.oai.openapi+json;q=0.5, application/json", "application/json"),
        ("application/vnd.oai.openapi+json;q=0, */*", "application/json"),
    ],
)
def test_schema_has_both_types(api: Client, accept: str, media_type: str) -> None:
    answer = api.get("/schema", headers={"accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, media_type)
    assert answer.json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("accept", ["*/*", "application/json, text/plain, */*", "text/html", "text/html;q=0.1"])
def test_documents_page_is_html(api: Client, accept: str) -> None:
    assert api.get("/docs", headers={"accept": accept})["Content-Type"] == "text/html; charset=utf-8"


def test_problem_in_json_is_preferred_where_named(api: Client) -> None:
    for accept in ("application/problem+json, text/html", "application/problem+json, text/html;q=0.9"):
        assert api.get("/nothing", headers={"accept": accept})["Content-Type"] == "application/problem+json"
    accept = "application/problem+json;q=0.1, application/json;q=0, text/html;q=0.5"
    assert api.get("/nothing", headers={"accept": accept})["Content-Type"] == "text/html; charset=utf-8"


def test_json_that_is_excluded_is_not_sent(api: Client) -> None:
    headers = {"accept": "application/json;q=0, */*"}
    assert api.get("/users", headers=headers)["Content-Type"] == "text/html; charset=utf-8"
    assert api.get("/nothing", headers=headers)["Content-Type"] == "application/problem+json"  # another type
