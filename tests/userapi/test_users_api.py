"""What the five operations on user records do."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client

from userapi.users.models import User

pytestmark = pytest.mark.django_db
JSON = "application/json"
MakeUsers = Callable[[int], list[User]]


def post(api: Client, **values: Any) -> HttpResponse:
    return api.post("/users", values, content_type=JSON)  # type: ignore[return-value]


def test_post_creates_user(api: Client) -> None:
    response = post(api, name="Test User", email="test@example.com")
    assert response.status_code == 201
    assert User.objects.get().email == "test@example.com"


def test_post_answers_with_user_and_location(api: Client) -> None:
    response = post(api, name="Test User", email="test@example.com")
    body = response.json()  # type: ignore[attr-defined]
    assert set(body) == {"id", "name", "email", "created_at", "updated_at"}
    assert response["Location"] == f"http://testserver/users/{body['id']}"
    assert api.get(response["Location"]).json() == body


def test_post_trims_name(api: Client) -> None:
    post(api, name="  Test User ", email="test@example.com")
    assert User.objects.get().name == "Test User"


def test_post_lowers_domain_of_email_only(api: Client) -> None:
    post(api, name="Test User", email="Test.User@BÜCHER.Example")
    assert User.objects.get().email == "Test.User@bücher.example"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("test@example.com", "test@example.com"),
        ("test@example.com", "TEST@Example.COM"),
        ("a@bücher.example", "A@BÜCHER.example"),
        ("a@bücher.example", "a@bu\u0308cher.example"),
        ("a@bücher.example", "a@\uff42ücher\uff0eexample"),
    ],
)
def test_post_same_email_conflicts(api: Client, first: str, second: str) -> None:
    post(api, name="One", email=first)
    response = post(api, name="Two", email=second)
    assert response.status_code == 409
    assert response.json()["errors"] == {"email": ["A user with this email exists."]}  # type: ignore[attr-defined]
    assert User.objects.count() == 1
    assert len(api.get("/users", {"email": second}).json()["results"]) == 1


def test_conflict_never_quotes_email(api: Client) -> None:
    post(api, name="One", email="secret@example.com")
    assert b"secret" not in post(api, name="Two", email="SECRET@example.com").content


@pytest.mark.parametrize("method", ["put", "patch"])
def test_change_to_email_of_another_conflicts(api: Client, make_users: MakeUsers, method: str) -> None:
    one, two = make_users(2)
    values = {"name": "New", "email": two.email.upper()}
    response = getattr(api, method)(f"/users/{one.id}", values, content_type=JSON)
    assert response.status_code == 409
    one.refresh_from_db()
    assert one.name == "User 000"


def test_put_replaces_user(api: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    response = api.put(f"/users/{user.id}", {"name": "New", "email": "new@example.com"}, content_type=JSON)
    assert (response.status_code, response.json()["name"], response.json()["email"]) == (200, "New", "new@example.com")


def test_put_without_email_is_invalid(api: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    response = api.put(f"/users/{user.id}", {"name": "New"}, content_type=JSON)
    assert (response.status_code, list(response.json()["errors"])) == (400, ["email"])


def test_patch_keeps_what_is_not_named(api: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    response = api.patch(f"/users/{user.id}", {"name": "New"}, content_type=JSON)
    assert (response.status_code, response.json()["email"]) == (200, user.email)


def test_patch_moves_updated_at_only(api: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    api.patch(f"/users/{user.id}", {"name": "New"}, content_type=JSON)
    changed = User.objects.get()
    assert changed.created_at == user.created_at
    assert changed.updated_at > user.updated_at


def test_patch_own_email_in_other_case(api: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    response = api.patch(f"/users/{user.id}", {"email": "USER000@example.com"}, content_type=JSON)
    assert response.json()["email"] == "USER000@example.com"


def test_read_only_fields_are_not_taken(api: Client) -> None:
    response = post(api, name="Test", email="t@example.com", id=str(uuid4()), created_at="2000-01-01T00:00:00Z")
    assert not response.json()["created_at"].startswith("2000")  # type: ignore[attr-defined]


def test_delete_removes_user(api: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    assert api.delete(f"/users/{user.id}").status_code == 204
    assert api.get(f"/users/{user.id}").status_code == 404


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_missing_user_is_404(api: Client, method: str) -> None:
    values = [{"name": "New", "email": "new@example.com"}] if method in ("put", "patch") else []
    response = getattr(api, method)(f"/users/{uuid4()}", *values, content_type=JSON)
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/users/1", "/users/abc", "/users/..", "/users/%00", "/users/%ff"])
def test_malformed_id_is_404(api: Client, path: str) -> None:
    response = api.get(path)
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
