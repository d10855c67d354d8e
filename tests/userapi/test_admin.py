"""The admin: it finds, filters and changes records, and its list costs the same for 10 rows as for 50."""

import re
from collections.abc import Callable

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User as Account
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from userapi.users.admin import UserAdmin
from userapi.users.models import User

pytestmark = pytest.mark.django_db
MakeUsers = Callable[[int], list[User]]
LIST = "/admin/users/user/"


@pytest.fixture
def admin(client: Client, account: Account) -> Client:
    account.is_staff = account.is_superuser = True
    account.save()
    client.force_login(account)
    return client


def queries_of(admin: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert admin.get(path).status_code == 200
    return len(queries)


def test_list_of_users_costs_the_same_for_more_rows(admin: Client, make_users: MakeUsers) -> None:
    admin.get(LIST)
    make_users(10)
    few = queries_of(admin, LIST)
    User.objects.bulk_create(User(name=f"More {n}", email=f"more{n}@example.com") for n in range(100))
    assert queries_of(admin, LIST) == few


def test_list_of_tokens_costs_the_same_for_more_rows(admin: Client, account: Account) -> None:
    from knox.models import AuthToken

    AuthToken.objects.create(account)
    admin.get("/admin/knox/authtoken/")
    few = queries_of(admin, "/admin/knox/authtoken/")
    for n in range(10):
        AuthToken.objects.create(Account.objects.create(username=f"account{n}"))
    assert queries_of(admin, "/admin/knox/authtoken/") == few


def test_search_finds_by_beginning_of_word(admin: Client, make_users: MakeUsers) -> None:
    make_users(3)
    found = admin.get(LIST, {"q": "user001"}).content.decode()
    assert "user001@example.com" in found
    assert "user002@example.com" not in found


@pytest.mark.parametrize(
    "query", ["q=%00", "q=%27%3A*", "created_at__gte=x", "p=9999999", "o=99", "id=%00", "unknown=1"]
)
def test_bad_parameter_is_no_server_error(admin: Client, query: str) -> None:
    admin.raise_request_exception = False
    assert admin.get(f"{LIST}?{query}").status_code < 500


@pytest.mark.parametrize(
    "path", [f"{LIST}add/", f"{LIST}?created_at__gte=2020-01-01%2000:00:00%2B00:00", "/admin/auth/user/", "/admin/"]
)
def test_page_is_served(admin: Client, path: str) -> None:
    assert admin.get(path).status_code == 200


def test_add_makes_user(admin: Client) -> None:
    admin.post(f"{LIST}add/", {"name": "Test", "email": "Test@EXAMPLE.com"})
    assert User.objects.get().email == "Test@example.com"


def test_add_of_known_email_shows_error(admin: Client, make_users: MakeUsers) -> None:
    make_users(1)
    response = admin.post(f"{LIST}add/", {"name": "Test", "email": "USER000@example.com"})
    assert b"A user with this email exists." in response.content


def test_add_of_email_with_invisible_character_shows_error(admin: Client) -> None:
    response = admin.post(f"{LIST}add/", {"name": "Test", "email": "test@exa\u200bmple.com"})
    assert b"The domain has an invisible character." in response.content


def test_change_page_shows_user(admin: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    assert user.email in admin.get(f"{LIST}{user.id}/change/").content.decode()


def inputs(page: str) -> dict[str, str]:
    """Return the names and values of a form, with those that it hides."""
    found = (dict(re.findall(r'(name|value)="([^"]*)"', tag)) for tag in re.findall(r"<input[^>]*>", page))
    return {
        each["name"]: each.get("value", "")
        for each in found
        if re.fullmatch("(initial-)?(name|email)", each.get("name", ""))
    }


def test_form_changes_what_was_changed_in_it(admin: Client, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    path = f"{LIST}{user.id}/change/"
    form = inputs(admin.get(path).content.decode())
    assert admin.post(path, form).status_code == 302
    unchanged = User.objects.get()
    assert (unchanged.version, unchanged.updated_at) == (user.version, user.updated_at)
    user.name = "Changed Elsewhere"
    user.save()
    assert admin.post(path, {**form, "email": "new@example.com"}).status_code == 302
    changed = User.objects.get()
    assert (changed.name, changed.email) == ("Changed Elsewhere", "new@example.com")
    assert changed.version != user.version
    assert changed.updated_at > user.updated_at


def test_form_accepts_what_was_not_changed_in_it(admin: Client, make_users: MakeUsers) -> None:
    """An address that now belongs to another record."""
    (user,) = make_users(1)
    path = f"{LIST}{user.id}/change/"
    form = inputs(admin.get(path).content.decode())
    User.objects.update(email="new@example.com")
    User.objects.create(name="Successor", email=user.email)
    assert admin.post(path, {**form, "name": "New Name"}).status_code == 302
    changed = User.objects.get(id=user.id)
    assert (changed.name, changed.email) == ("New Name", "new@example.com")


def test_form_keeps_what_a_link_filled_in(admin: Client) -> None:
    form = inputs(admin.get(f"{LIST}add/?name=Test").content.decode())
    admin.post(f"{LIST}add/", {**form, "email": "test@example.com"})
    assert User.objects.get().name == "Test"


def test_record_is_locked_while_its_form_is_saved(rf: RequestFactory) -> None:
    records = UserAdmin(User, site)
    assert records.get_queryset(rf.post("/")).query.select_for_update
    assert not records.get_queryset(rf.get("/")).query.select_for_update


def test_admin_needs_an_account(client: Client) -> None:
    assert client.get("/admin/")["Location"] == "/admin/login/?next=/admin/"


def test_admin_without_slash_redirects(client: Client) -> None:
    assert client.get("/admin")["Location"] == "/admin/"
