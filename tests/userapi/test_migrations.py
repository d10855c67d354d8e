"""What migrations do to the records that are there."""

import logging
from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.support.databases import connected
from userapi.users.emails import normalize_email
from userapi.users.models import User

ALIAS = "migrations"
CLASH = "twice@bu\u0308cher.example"
LONG = "long@" + ".".join(["\u337f" * 60] * 3) + ".example"  # four times as long in the normal form


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_stored_emails_are_normalized(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    django_db_blocker: DjangoDbBlocker,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else f"sqlite:///{tmp_path / 'db.sqlite3'}"
    stored = ["a@bu\u0308cher.example", "Alone@EXAMPLE.com", CLASH, "twice@b\u00fccher.example", "same@example.com"]
    kept = [CLASH]
    if kind == "postgresql":  # SQLite has no limit of a text's length
        stored.append(LONG)
        kept.append(LONG)
    # They come in several batches, each with some to change.
    stored += [f"user{n}@{'example' if n % 100 else 'EXAMPLE'}.com" for n in range(2500)]
    with django_db_blocker.unblock(), connected(ALIAS, url):
        call_command("migrate", "users", "0003", database=ALIAS, verbosity=0)
        users = User.objects.using(ALIAS)
        users.bulk_create(User(id=UUID(int=n), name="Test", email=f"{n}@example.com") for n in range(len(stored)))
        with connections[ALIAS].cursor() as cursor:
            keys = [UUID(int=n).hex if kind == "sqlite" else UUID(int=n) for n in range(len(stored))]
            cursor.executemany("UPDATE users_user SET email = %s WHERE id = %s", list(zip(stored, keys, strict=True)))
        versions = dict(users.values_list("id", "version"))
        with caplog.at_level(logging.WARNING, "userapi.users.migrations"):
            call_command("migrate", "users", "0004", database=ALIAS, verbosity=0)
        expected = [email if email in kept else normalize_email(email) for email in stored]
        assert list(users.order_by("id").values_list("email", flat=True)) == expected
        renewed = {user.id for user in users.all() if user.version != versions[user.id]}
        assert renewed == {UUID(int=n) for n, email in enumerate(stored) if email != expected[n]}
        assert users.with_email("a@bu\u0308cher.example").exists()
        assert [record.args for record in caplog.records] == [(UUID(int=stored.index(email)),) for email in kept]
        call_command("migrate", "users", "0003", database=ALIAS, verbosity=0)
