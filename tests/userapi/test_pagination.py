"""Pages: complete, in order, without repeats, bounded; cursors: opaque, and refused when they are invented."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.support.service import Service
from userapi.cursors import MAX_CURSOR_LENGTH, Cursor
from userapi.pagination import MAX_PAGE_SIZE
from userapi.users.models import User

pytestmark = pytest.mark.django_db
MakeUsers = Callable[[int], list[User]]
ORDERINGS = ["id", "-id", "created_at", "-created_at", "name", "-name", "email", "-email"]


def pages(api: Client, url: str | None, link: str = "next") -> Iterator[dict[str, Any]]:
    while url:
        response = api.get(url)
        assert response.status_code == 200, response.content
        page = response.json()
        yield page
        url = page[link]


def ids(page_list: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for page in page_list for row in page["results"]]


@pytest.fixture
def twins(make_users: MakeUsers) -> list[User]:
    """Users of whom many share their name and their time, so that only the tie-breaker orders them."""
    users = make_users(11)
    User.objects.filter(id__in=[user.id for user in users[:6]]).update(name="Same", created_at=users[0].created_at)
    return users


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_pages_hold_every_user_once(api: Client, twins: list[User], ordering: str) -> None:
    found = ids(list(pages(api, f"/users?page_size=3&ordering={ordering}")))
    assert sorted(found) == sorted(str(user.id) for user in twins)


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.usefixtures("twins")
def test_pages_are_in_order(api: Client, ordering: str) -> None:
    rows = [row for page in pages(api, f"/users?page_size=3&ordering={ordering}") for row in page["results"]]
    key = ordering.removeprefix("-")
    values = [row[key].lower() for row in rows]
    assert values == sorted(values, reverse=ordering.startswith("-"))


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.usefixtures("twins")
def test_pages_backwards_are_the_same_pages(api: Client, ordering: str) -> None:
    forward = list(pages(api, f"/users?page_size=3&ordering={ordering}"))
    backward = list(pages(api, forward[-1]["previous"], "previous"))
    assert ids(backward[::-1]) == ids(forward[:-1])


def test_first_and_last_page_have_one_neighbour(api: Client, make_users: MakeUsers) -> None:
    make_users(4)
    first, last = pages(api, "/users?page_size=2")
    assert first["previous"] is None
    assert last["next"] is None


def test_default_is_newest_first(api: Client, make_users: MakeUsers) -> None:
    users = make_users(3)
    assert ids([api.get("/users").json()]) == [str(user.id) for user in users[::-1]]


def test_page_holds_fifty_by_default(api: Client, make_users: MakeUsers) -> None:
    make_users(51)
    assert len(api.get("/users").json()["results"]) == 50


def test_new_user_shifts_no_page(api: Client, make_users: MakeUsers) -> None:
    make_users(4)
    first = api.get("/users?page_size=2").json()
    User.objects.create(name="Late", email="late@example.com")
    assert not set(ids([first])) & set(ids([api.get(first["next"]).json()]))


def test_page_whose_rows_are_gone_leads_back(api: Client, make_users: MakeUsers) -> None:
    users = make_users(4)
    first = api.get("/users?page_size=2&ordering=created_at").json()
    User.objects.filter(id__in=[user.id for user in users[2:]]).delete()
    empty = api.get(first["next"]).json()
    assert (empty["results"], empty["next"]) == ([], None)
    assert ids([api.get(empty["previous"]).json()]) == ids([first])


def test_links_keep_the_other_parameters(api: Client, make_users: MakeUsers) -> None:
    make_users(3)
    link = api.get("/users?page_size=1&ordering=name&search=user").json()["next"]
    assert link.startswith("http://testserver/users?")
    assert {"page_size=1", "ordering=name", "search=user"} < set(link.partition("?")[2].split("&"))


def test_page_costs_one_query_and_no_count(api: Client, make_users: MakeUsers) -> None:
    make_users(3)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        api.get("/users?page_size=2")
    about_users = [query["sql"] for query in queries if "users_user" in query["sql"]]
    assert len(about_users) == 1
    assert "COUNT" not in about_users[0]


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_page_on_sqlite_reads_index_and_sorts_nothing(api: Client, make_users: MakeUsers, ordering: str) -> None:
    make_users(3)
    link = api.get(f"/users?page_size=1&ordering={ordering}").json()["next"]
    plans: list[str] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if 'FROM "users_user"' in sql:
            plans.extend(str(row) for row in execute(f"EXPLAIN QUERY PLAN {sql}", params, many, context).fetchall())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        api.get(link)
    assert len(plans) == 1, plans
    assert "SEARCH users_user USING" in plans[0], plans


@pytest.mark.parametrize("size", ["0", "-1", str(MAX_PAGE_SIZE + 1), "9" * 5000, "1.5", "ten", "٣", "1e2", "%00"])
def test_page_size_out_of_bounds_is_invalid(api: Client, size: str) -> None:
    response = api.get(f"/users?page_size={size}")
    assert (response.status_code, list(response.json()["errors"])) == (400, ["page_size"])


@pytest.mark.parametrize("ordering", ["password", "--name", "name,email", "-", "%00", "email__gt", "?", "key_0"])
def test_ordering_outside_the_list_is_invalid(api: Client, ordering: str) -> None:
    response = api.get("/users", {"ordering": ordering})
    assert (response.status_code, list(response.json()["errors"])) == (400, ["ordering"])


@pytest.mark.parametrize(
    "cursor",
    ["x", "%00", "e30:x", ":", "x" * 100_000, "é", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")],
)
def test_invented_cursor_is_invalid(api: Client, cursor: str) -> None:
    response = api.get("/users", {"cursor": cursor})
    assert (response.status_code, list(response.json()["errors"])) == (400, ["cursor"])


def test_changed_cursor_is_invalid(api: Client, make_users: MakeUsers) -> None:
    make_users(2)
    link = api.get("/users?page_size=1").json()["next"]
    head, _, cursor = link.partition("cursor=")
    swapped = "A" if cursor[10] != "A" else "B"
    assert api.get(f"{head}cursor={cursor[:10]}{swapped}{cursor[11:]}").status_code == 400


@pytest.mark.parametrize("keys", [(), ("x",), ("x", "y", "z")])
def test_cursor_with_another_number_of_keys_is_invalid(api: Client, keys: tuple[str, ...]) -> None:
    cursor = Cursor("-created_at", "next", inclusive=False, keys=keys).encode()
    assert api.get("/users", {"cursor": cursor}).status_code == 400


def test_cursor_of_another_key_is_invalid(api: Client, make_users: MakeUsers, settings: Any) -> None:
    make_users(2)
    link = api.get("/users?page_size=1").json()["next"]
    settings.SECRET_KEY, former = "another" * 9, settings.SECRET_KEY
    assert api.get(link).status_code == 400
    settings.SECRET_KEY_FALLBACKS = [former]
    assert api.get(link).status_code == 200


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_cursor_shows_nothing_of_the_row(api: Client, ordering: str) -> None:
    for name in ("Ada Lovelace", "Bob Lovelace"):
        User.objects.create(name=name, email=f"{name.partition(' ')[0]}@example.com")
    page = api.get(f"/users?page_size=1&ordering={ordering}").json()
    cursor = page["next"].partition("cursor=")[2].partition("&")[0]
    shown = cursor.encode() + b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_")
    (row,) = page["results"]
    for secret in (b"lovelace", b"example", row["id"].encode(), UUID(row["id"]).bytes, row["created_at"][:10].encode()):
        assert secret not in shown.lower()


# The longest that a record may hold, in the characters that take most bytes in a URL, in JSON or in lower case.
LONGEST = [
    ("\U0001f984" * 120, "unicorn@example.com"),
    ("\U0001f984" * 200, "unicorns@example.com"),
    ("\x01" * 200, "control@example.com"),
    ('\\"' * 100, "quotes@example.com"),
    ("\u0130" * 200, "dots@example.com"),
    ("Domain", "a@" + ".".join(["\u6f22" * 60] * 4) + ".com"),
    ("Local part", f"{'x' * 240}@example.com"),
]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_link_after_the_longest_values_is_followed(empty_service: Callable[[str], Service], database: str) -> None:
    service = empty_service(database)
    for name, email in LONGEST:
        status, _, body = service.request("POST", "/users", {"name": name, "email": email})
        assert status == 201, body
    for ordering in ORDERINGS:
        found: list[str] = []
        url = f"/users?page_size=1&ordering={ordering}"
        while url:
            status, _, body = service.get(url)
            assert status == 200, (ordering, body)
            page = json.loads(body)
            found += [row["id"] for row in page["results"]]
            url = (page["next"] or "").partition(str(service.port))[2]
            cursor = url.partition("cursor=")[2].partition("&")[0]
            assert len(cursor) <= MAX_CURSOR_LENGTH
        assert len(set(found)) == len(found) == len(LONGEST), ordering


def test_cursor_of_another_ordering_is_invalid(api: Client, make_users: MakeUsers) -> None:
    make_users(2)
    link = api.get("/users?page_size=1&ordering=name").json()["next"]
    assert api.get(link.replace("ordering=name", "ordering=email")).status_code == 400
