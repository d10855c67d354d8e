"""With 100,000 users on a real PostgreSQL every page comes from an index; a deep page costs as much as the first."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import QuerySet
from pytest_django import DjangoDbBlocker

from tests.conftest import create_database
from tests.support.databases import connected
from userapi.cursors import Cursor
from userapi.pagination import Keyset
from userapi.users.models import User
from userapi.users.views import UserList

ALIAS = "plans"
ROWS = 100_000
SIZE = 50
ORDERINGS = [sign + name for name in UserList.orderings for sign in ("", "-")]

_FILL = """
INSERT INTO users_user (id, name, email, created_at, updated_at)
SELECT gen_random_uuid(), 'Person' || n %% 1000 || ' Family' || n, 'mail' || n || '@host' || n %% 100 || '.example',
       now() - n * interval '1 second', now()
FROM generate_series(1, %s) AS n
"""


@pytest.fixture(scope="module")
def users(postgres_socket_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[QuerySet[User]]:
    url = create_database(postgres_socket_url)
    with django_db_blocker.unblock(), connected(ALIAS, url):
        # The search index is quicker to build at once than row by row.
        call_command("migrate", "users", "0001", database=ALIAS, verbosity=0)
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(_FILL, [ROWS])
            call_command("migrate", database=ALIAS, verbosity=0)
            cursor.execute("VACUUM ANALYZE users_user")
        yield User.objects.using(ALIAS)


class Explained:
    """The plans and the costs of the queries that a page makes."""

    def __init__(self, users: QuerySet[User], ordering: str, cursor: Cursor | None = None) -> None:
        self._lines: list[str] = []
        connection = connections[ALIAS]

        def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("SELECT"):
                plan = execute("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) " + sql, params, many, context)
                self._lines += [row[0] for row in context["cursor"].fetchall()]
                del plan
            return execute(sql, params, many, context)

        with connection.execute_wrapper(explain):
            keyset = Keyset(ordering, UserList.orderings[ordering.removeprefix("-")])
            self.page = keyset.page(users, SIZE, cursor)
        self.text = "\n".join(self._lines)

    @property
    def blocks(self) -> int:
        """Pages of the database that the query touched."""
        found = re.search(r"Buffers: shared (?:hit=(\d+))? ?(?:read=(\d+))?", self.text)
        assert found, self.text
        return sum(int(number) for number in found.groups() if number)


def at_row(users: QuerySet[User], ordering: str, number: int) -> Cursor:
    """Return the cursor after the row of that number."""
    keyset = Keyset(ordering, UserList.orderings[ordering.removeprefix("-")])
    names = [("-" if ordering.startswith("-") else "") + name for name in keyset._names]
    rows = users.annotate(**dict(zip(keyset._names, keyset._expressions, strict=True))).order_by(*names)
    return keyset._at(rows[number - 1], "next")


@pytest.fixture(autouse=True)
def _database(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_deep_page_reads_index_and_costs_what_the_first_costs(users: QuerySet[User], ordering: str) -> None:
    first = Explained(users, ordering)
    deep = Explained(users, ordering, at_row(users, ordering, ROWS * 9 // 10))
    for plan in (first, deep):
        assert len(plan.page.rows) == SIZE
        assert "Index Scan" in plan.text, plan.text
        assert "Seq Scan" not in plan.text, plan.text
        assert "Sort" not in plan.text, plan.text
    assert deep.blocks <= 3 * first.blocks + 10, f"{first.text}\n{deep.text}"


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_page_back_reads_index(users: QuerySet[User], ordering: str) -> None:
    forward = at_row(users, ordering, ROWS // 2)
    plan = Explained(users, ordering, Cursor(ordering, "previous", False, forward.keys))
    assert "Index Scan" in plan.text
    assert "Seq Scan" not in plan.text
    assert "Sort" not in plan.text


@pytest.mark.parametrize(
    ("text", "count"), [("family4242", 11), ("mail777", 50), ("person12 host12", 50), ("nobody", 0), ("MAIL99999", 1)]
)
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_search_reads_index(users: QuerySet[User], ordering: str, text: str, count: int) -> None:
    plan = Explained(users.search(text), ordering)  # type: ignore[attr-defined]
    assert len(plan.page.rows) == count
    assert "Seq Scan" not in plan.text, plan.text
    assert "Index Scan" in plan.text


def test_rare_search_reads_search_index(users: QuerySet[User]) -> None:
    plan = Explained(users.search("family4242"), "-created_at")  # type: ignore[attr-defined]
    assert "users_user_search" in plan.text


def test_search_that_everybody_matches_stops_early(users: QuerySet[User]) -> None:
    plan = Explained(users.search("person"), "-created_at")  # type: ignore[attr-defined]
    assert "users_user_search" not in plan.text, plan.text
    assert plan.blocks < 200, plan.text
