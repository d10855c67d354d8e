"""Conditional requests: versions that change with every change, 304 and 412."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User as Account
from django.test import Client

from userapi.users.models import User

pytestmark = pytest.mark.django_db
JSON = "application/json"
MakeUsers = Callable[[int], list[User]]


@pytest.fixture
def path(make_users: MakeUsers) -> str:
    (user,) = make_users(1)
    return f"/users/{user.id}"


def etag(api: Client, path: str) -> str:
    value: str = api.get(path)["ETag"]
    assert value.startswith('"'), "a weak tag cannot protect a write"
    return value


def by_patch(api: Client, path: str, name: str) -> None:
    assert api.patch(path, {"name": name}, content_type=JSON).status_code == 200


def by_put(api: Client, path: str, name: str) -> None:
    assert api.put(path, {"name": name, "email": "new@example.com"}, content_type=JSON).status_code == 200


def by_save(_api: Client, path: str, name: str) -> None:
    user = User.objects.get(id=path.rpartition("/")[2])
    user.name = name
    user.save(update_fields=["name"])


def by_update(_api: Client, path: str, name: str) -> None:
    User.objects.filter(id=path.rpartition("/")[2]).update(name=name)


def by_bulk_update(_api: Client, path: str, name: str) -> None:
    user = User.objects.get(id=path.rpartition("/")[2])
    user.name = name
    User.objects.bulk_update([user], ["name"])


@pytest.mark.parametrize("change", [by_patch, by_put, by_save, by_update, by_bulk_update])
def test_every_change_makes_a_new_version_within_one_clock_tick(
    api: Client, path: str, change: Callable[[Client, str, str], None]
) -> None:
    with patch("django.utils.timezone.now", return_value=datetime.now(UTC)):
        seen = [etag(api, path)]
        for name in ("One", "Two", "One"):
            change(api, path, name)
            seen.append(etag(api, path))
    assert len(set(seen)) == 4


def test_change_in_the_admin_makes_a_new_version(api: Client, path: str, admin_client: Client) -> None:
    before = etag(api, path)
    values = {"name": "From the admin", "email": "admin@example.com"}
    assert admin_client.post(f"/admin/users/user/{path.rpartition('/')[2]}/change/", values).status_code == 302
    assert etag(api, path) != before


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_answer_to_a_write_has_the_new_version(api: Client, path: str, method: str) -> None:
    target = "/users" if method == "post" else path
    response = getattr(api, method)(target, {"name": "New", "email": "new@example.com"}, content_type=JSON)
    assert response["ETag"] == etag(api, f"/users/{response.json()['id']}")


@pytest.mark.parametrize("values", [{}, {"name": "User 000"}, {"id": "x", "created_at": "2000-01-01T00:00:00Z"}])
def test_patch_without_a_change_changes_nothing(api: Client, path: str, values: dict[str, str]) -> None:
    before = api.get(path)
    response = api.patch(path, values, content_type=JSON)
    assert (response.status_code, response.json(), response["ETag"]) == (200, before.json(), before["ETag"])
    assert api.get(path).content == before.content


def test_put_of_a_record_as_it_was_read_changes_nothing(api: Client, path: str) -> None:
    before = api.get(path)
    response = api.put(path, before.json(), content_type=JSON)
    assert (response.status_code, response.json(), response["ETag"]) == (200, before.json(), before["ETag"])


@pytest.mark.parametrize("tags", ["{}", "W/{}", '"x", {}', '"x" ,, W/{}', "*"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_read_of_the_present_version_is_304(api: Client, path: str, method: str, tags: str) -> None:
    tag = etag(api, path)
    response = getattr(api, method)(path, headers={"if-none-match": tags.format(tag)})
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", tag)
    assert response["Cache-Control"] == "no-store"


def test_read_of_another_version_is_200(api: Client, path: str) -> None:
    tag = etag(api, path)
    by_patch(api, path, "New")
    assert api.get(path, headers={"if-none-match": tag}).json()["name"] == "New"


def test_list_is_304_until_a_record_or_the_page_changes(api: Client, make_users: MakeUsers) -> None:
    users = make_users(3)
    url = "/users?page_size=2&ordering=name"
    tag = etag(api, url)
    assert api.get(url, headers={"if-none-match": tag}).status_code == 304
    by_patch(api, f"/users/{users[2].id}", "User 999")  # on the next page
    assert api.get(url, headers={"if-none-match": tag}).status_code == 304
    by_patch(api, f"/users/{users[0].id}", "User 0")
    changed = api.get(url, headers={"if-none-match": tag})
    assert changed.status_code == 200
    users[2].delete()  # the page stays as it is, its link does not
    assert api.get(url, headers={"if-none-match": changed["ETag"]}).json()["next"] is None


def test_one_tag_is_one_sequence_of_bytes(api: Client, path: str) -> None:
    plain, indented = api.get(path), api.get(path, headers={"accept": "application/json; indent=4"})
    assert (indented["ETag"], indented.content) == (plain["ETag"], plain.content)


def test_page_of_the_browsable_api_has_no_version(api: Client, path: str) -> None:
    tag = etag(api, path)
    page = api.get(path, headers={"accept": "text/html", "if-none-match": tag})
    assert (page.status_code, "ETag" in page) == (200, False)
    assert "Accept" in page["Vary"]


def send(api: Client, method: str, path: str, **headers: str) -> Any:
    body = [{"name": "New", "email": "new@example.com"}] if method != "delete" else []
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return getattr(api, method)(path, *body, content_type=JSON, headers=named)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("tags", ["{}", '"x", {}', "*"])
def test_write_with_the_present_version_succeeds(api: Client, path: str, method: str, tags: str) -> None:
    assert send(api, method, path, if_match=tags.format(etag(api, path))).status_code in (200, 204)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("tags", ['"x"', "W/{}", '""'])
def test_write_with_another_version_is_412(api: Client, path: str, method: str, tags: str) -> None:
    before = api.get(path)
    response = send(api, method, path, if_match=tags.format(before["ETag"]))
    assert (response.status_code, response["Content-Type"]) == (412, "application/problem+json")
    assert api.get(path).content == before.content


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_write_with_an_outdated_version_is_412(api: Client, path: str, method: str) -> None:
    tag = etag(api, path)
    by_patch(api, path, "Someone else's")
    assert send(api, method, path, if_match=tag).status_code == 412
    assert api.get(path).json()["name"] == "Someone else's"


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("tags", ["x", "", '"x', '"x" "y"', "**", "W/x"])
def test_write_with_a_malformed_version_is_refused(api: Client, path: str, method: str, tags: str) -> None:
    before = api.get(path)
    assert send(api, method, path, if_match=tags).status_code == 400
    assert api.get(path).content == before.content


@pytest.mark.parametrize("tags", ["*", "{}"])
def test_write_unless_the_version_exists_is_412(api: Client, path: str, tags: str) -> None:
    assert send(api, "put", path, if_none_match=tags.format(etag(api, path))).status_code == 412


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_missing_record_is_404_whatever_the_condition(api: Client, path: str, method: str) -> None:
    User.objects.all().delete()
    assert send(api, method, path, if_match='"x"').status_code == 404


@pytest.mark.parametrize("target", ["/users", "/users?page_size=0", "{}"])
def test_personal_data_is_not_stored_by_caches(api: Client, path: str, target: str) -> None:
    for accept in ("application/json", "text/html"):
        assert api.get(target.format(path), headers={"accept": accept})["Cache-Control"] == "no-store"


def test_tokens_are_not_stored_by_caches(client: Client, account: Account) -> None:
    client.force_login(account)
    response = client.post("/auth/token")
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
