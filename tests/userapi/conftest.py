"""An account with a token, a client that uses it, and a service for each database."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.contrib.auth.models import User as Account
from django.test import Client
from knox.models import AuthToken
from pytest_django import Settings

from tests.support.service import Service, services
from userapi.users.models import User


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """Hash quickly: nothing is at stake, and an account costs a third of a second otherwise."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def account(django_user_model: type[Account]) -> Account:
    return django_user_model.objects.create_user("alice", password="a password of alice")


@pytest.fixture
def token(account: Account) -> str:
    value: str = AuthToken.objects.create(account)[1]
    return value


@pytest.fixture
def api(token: str) -> Client:
    """A client with a token; an exception of the service is a 500, as it is for a real client."""
    return Client(raise_request_exception=False, headers={"authorization": f"Bearer {token}"})


@pytest.fixture
def make_users(db: None) -> Callable[[int], list[User]]:  # noqa: ARG001  (needs the database)
    """A function that makes that many users, named `User 000`, `User 001` and so on."""

    def make(count: int) -> list[User]:
        return [User.objects.create(name=f"User {n:03}", email=f"user{n:03}@example.com") for n in range(count)]

    return make


@pytest.fixture(scope="session")
def open_services(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> Iterator[Callable[[str], Service]]:
    """A function that returns the service on `sqlite` or `postgresql` that tests share, whatever is in its database."""
    with ExitStack() as stack:
        start = stack.enter_context(services(tmp_path_factory.mktemp("open"), migrated_sqlite))

        @cache
        def of(database: str) -> Service:
            postgresql = database == "postgresql"
            env = {"DATABASE_URL": request.getfixturevalue("make_migrated_postgres")()} if postgresql else {}
            return start("--workers=2", "--threads=4", **env)

        yield of


@pytest.fixture
def empty_service(open_services: Callable[[str], Service]) -> Callable[[str], Service]:
    """A function that returns the same without any user."""

    def emptied(database: str) -> Service:
        service = open_services(database)
        while users := json.loads(service.get("/users?page_size=200")[2])["results"]:
            for user in users:
                service.request("DELETE", f"/users/{user['id']}")
        return service

    return emptied


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (107 characters in all)."""
    with TemporaryDirectory(prefix="pg-") as folder:
        yield Path(folder)
