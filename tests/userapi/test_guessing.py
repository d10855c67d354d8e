"""Guessing passwords: bounded by address, wherever it is tried, and never at the cost of everybody else."""

import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any
from unittest.mock import Mock

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User as Account
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings
from rest_framework.exceptions import Throttled

from tests.support.service import Service, wait_until
from userapi.accounts import backends
from userapi.accounts.attempts import client_address
from userapi.accounts.backends import PasswordBackend

pytestmark = pytest.mark.django_db
PASSWORD = "a password of alice"
LIMIT = 10
LOGIN = "/admin/login/"
Guess = Callable[..., int]


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


def guess_token(client: Client, password: str = "no", headers: dict[str, str] | None = None, **extra: Any) -> int:
    given = {**basic("alice", password), **(headers or {})}
    return client.post("/auth/token", headers=given, **extra).status_code


def guess_admin(client: Client, password: str = "no", **extra: Any) -> int:
    return client.post(LOGIN, {"username": "alice", "password": password}, **extra).status_code


@pytest.fixture
def staff(account: Account) -> Account:
    account.is_staff = True
    account.save()
    return account


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names whose passwords were really checked, which is what costs."""
    names: list[str] = []
    check = ModelBackend.authenticate

    def counted(self: ModelBackend, request: Any, username: str | None = None, *rest: Any, **more: Any) -> Any:
        names.append(str(username))
        return check(self, request, username, *rest, **more)

    monkeypatch.setattr(ModelBackend, "authenticate", counted)
    return names


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize(("guess", "wrong", "right"), [(guess_admin, 200, 302), (guess_token, 401, 200)])
def test_right_password_after_too_many_wrong_ones_is_not_looked_at(
    client: Client, checked: list[str], guess: Guess, wrong: int, right: int
) -> None:
    assert [guess(client) for _ in range(LIMIT)] == [wrong] * (LIMIT - 1) + [429]
    assert [guess(client, PASSWORD) for _ in range(3)] == [429] * 3
    assert len(checked) == LIMIT
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert guess(client, PASSWORD) == right


@pytest.mark.usefixtures("staff")
def test_attempts_count_together_wherever_they_are_made(client: Client) -> None:
    for _ in range(LIMIT // 2):
        guess_admin(client)
        guess_token(client)
    assert (guess_admin(client, PASSWORD), guess_token(client, PASSWORD)) == (429, 429)


@pytest.mark.usefixtures("account")
def test_locked_client_hears_when_to_return(client: Client) -> None:
    for _ in range(LIMIT):
        guess_token(client)
    answers = [client.post("/auth/token", headers=basic("alice", "no")), client.post(LOGIN, {"username": "a"})]
    answers[1] = client.post(LOGIN, {"username": "alice", "password": "no"})
    assert [answer["Retry-After"] for answer in answers] == ["900", "900"]
    assert answers[0]["Content-Type"] == "application/problem+json"


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"x", "text/plain"),
        (b"{", "application/json"),
        (b"a=b", "application/x-www-form-urlencoded"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
        (b"--x\r\nnonsense", "multipart/form-data"),
        (b"&".join(b"a=b" for _ in range(1001)), "application/x-www-form-urlencoded"),
    ],
)
def test_attempt_counts_whatever_its_body(client: Client, body: bytes, media_type: str) -> None:
    client.raise_request_exception = False
    for _ in range(LIMIT):
        guess_token(client, data=body, content_type=media_type)
    assert guess_token(client, PASSWORD, data=body, content_type=media_type) == 429


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("name", ["alice", "nobody", "x" * 150, "\N{SNOWMAN}", "a'--"])
def test_attempt_counts_whatever_the_name(client: Client, name: str) -> None:
    for _ in range(LIMIT):
        client.post("/auth/token", headers=basic(name, "no"))
    assert guess_token(client, PASSWORD) == 429


@pytest.mark.parametrize("path", [LOGIN, "/session/login"])
def test_attempt_with_a_long_name_is_stored_within_its_column(client: Client, path: str) -> None:
    """PostgreSQL refuses a longer one; SQLite does not."""
    assert client.post(path, {"username": "x" * 5000, "password": "no"}).status_code == 200
    AccessAttempt.objects.get().clean_fields(exclude={"get_data"})


@pytest.mark.usefixtures("account")
def test_reading_and_asking_without_a_password_use_up_nothing(client: Client, checked: list[str]) -> None:
    for _ in range(3 * LIMIT):
        client.get("/auth/token")
        client.get(LOGIN)
        client.post("/auth/token")
        client.post("/auth/token", headers={"authorization": "Bearer " + "f" * 64})
        client.post("/auth/token", headers=basic("x" * 151, "no"))
    assert not checked
    assert guess_token(client, PASSWORD) == 200


@pytest.mark.usefixtures("account")
def test_success_gives_no_further_attempts(client: Client) -> None:
    for _ in range(LIMIT - 1):
        guess_token(client)
    assert guess_token(client, PASSWORD) == 200
    assert (guess_token(client), guess_token(client, PASSWORD)) == (429, 429)


def test_tokens_and_sessions_go_on_while_locked(api: Client, account: Account) -> None:
    session = Client()
    session.force_login(account)
    for _ in range(LIMIT):
        guess_token(Client())
    assert guess_token(Client(), PASSWORD) == 429
    assert (api.get("/users").status_code, session.get("/users").status_code) == (200, 200)


@pytest.mark.usefixtures("account")
def test_forwarded_address_is_no_way_out(client: Client) -> None:
    for n in range(LIMIT):
        guess_token(client, headers={"x-forwarded-for": f"10.0.0.{n}"})
    assert guess_token(client, PASSWORD, headers={"x-forwarded-for": "10.0.1.1"}) == 429


@pytest.mark.usefixtures("account")
def test_clients_of_a_proxy_are_distinguished(client: Client, settings: Settings) -> None:
    settings.BEHIND_PROXY = True
    for n in range(LIMIT):
        guess_token(client, headers={"x-forwarded-for": f"10.0.0.{n}, 192.0.2.1"})
    assert guess_token(client, PASSWORD, headers={"x-forwarded-for": "10.0.1.1, 192.0.2.1"}) == 429
    assert guess_token(client, PASSWORD, headers={"x-forwarded-for": "192.0.2.2"}) == 200


@pytest.mark.parametrize(
    ("proxy", "forwarded", "remote", "address"),
    [
        (False, "10.0.0.1", "192.0.2.1", "192.0.2.1"),
        (True, "10.0.0.1", "192.0.2.1", "10.0.0.1"),
        (True, "10.0.0.1, 10.0.0.2", "192.0.2.1", "10.0.0.2"),
        (True, "10.0.0.1,  ::1 ", "192.0.2.1", "::"),
        (True, "10.0.0.1:55123", "192.0.2.1", "10.0.0.1"),
        (True, "[2001:db8:1:2:3::4]:443", "192.0.2.1", "2001:db8:1:2::"),
        (True, "[2001:db8:1:2:3::4]", "192.0.2.1", "2001:db8:1:2::"),
        (True, "[10.0.0.1:5", "192.0.2.1", "192.0.2.1"),
        (True, "", "192.0.2.1", "192.0.2.1"),
        (True, "unknown", "192.0.2.1", "192.0.2.1"),
        (True, "10.0.0.1' OR 1", "192.0.2.1", "192.0.2.1"),
        (False, "", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (False, "", "fe80::1%eth0", "fe80::"),
        (False, "", "::ffff:192.0.2.1", "192.0.2.1"),
        (False, "", "", None),
    ],
)
def test_client_address(settings: Settings, proxy: bool, forwarded: str, remote: str, address: str | None) -> None:
    settings.BEHIND_PROXY = proxy
    request = RequestFactory().get("/", headers={"x-forwarded-for": forwarded} if forwarded else {}, REMOTE_ADDR=remote)
    assert client_address(request) == address


@pytest.mark.usefixtures("account")
def test_attempt_leaves_no_secret(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(LIMIT + 1):
        guess_token(client, "a wrong secret", REMOTE_ADDR="192.0.2.77")
        client.post(LOGIN, {"username": "alice", "password": "a wrong secret", "csrfmiddlewaretoken": "of a form"})
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("axes"))
    assert "failure" in logged
    assert not any(secret in logged for secret in ("alice", "192.0.2.77", "a wrong secret"))
    stored = str(list(AccessAttempt.objects.values()))
    assert "a wrong secret" not in stored
    assert "of a form" not in stored


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """As many checks as there is room for, none of which ends; the names that are being checked."""
    freed = Event()
    names: list[str] = []

    def hang(_self: ModelBackend, _request: Any, username: str | None = None, *_: Any, **__: Any) -> None:
        names.append(str(username))
        freed.wait(60)

    places = backends._threads
    taken: list[bool] = []

    def take(*, blocking: bool) -> bool:
        has_taken = places.acquire(blocking=blocking)
        taken.append(has_taken)
        return has_taken

    monkeypatch.setattr(backends, "_threads", Mock(acquire=take, release=places.release))
    monkeypatch.setattr(ModelBackend, "authenticate", hang)
    with ThreadPoolExecutor(2) as threads:
        checks = [
            threads.submit(PasswordBackend().authenticate, None, username=f"account {n}", password="x")
            for n in range(2)
        ]
        wait_until(lambda: names, 60, "the first check")
        wait_until(lambda: taken == [True, True], 60, "the second one's place")
        yield names
        freed.set()
        assert [check.result(60) for check in checks] == [None, None]
    assert len(names) == 2


def test_one_password_is_checked_at_a_time(hanging: list[str]) -> None:
    assert len(hanging) == 1
    with pytest.raises(Throttled):
        PasswordBackend().authenticate(None, username="account 3", password="x")


@pytest.mark.usefixtures("hanging")
@pytest.mark.parametrize("path", ["/auth/token", LOGIN])
def test_log_in_without_room_is_put_off_and_counts_nothing(client: Client, path: str) -> None:
    answers = [
        client.post(path, {"username": "alice", "password": "no"}, headers=basic("alice", "no"))
        if path == LOGIN
        else client.post(path, headers=basic("alice", "no"))
        for _ in range(LIMIT + 1)
    ]
    assert {(answer.status_code, answer["Retry-After"]) for answer in answers} == {(429, "1")}
    assert not AccessAttempt.objects.exists()


def test_dozen_guessing_clients_do_not_stop_the_others(start_service: Callable[..., Service]) -> None:
    service = start_service("--workers=1", DJANGO_BEHIND_PROXY="true", USERAPI_THREADS="4")
    done = Event()

    def guess(client: int) -> set[int]:
        statuses, number = set(), 0
        while not done.is_set():
            number += 1
            headers = {"X-Forwarded-For": f"10.{client}.{number >> 8}.{number & 255}", **basic("admin", "no")}
            statuses.add(service.request("POST", "/auth/token", headers=headers, timeout=120)[0])
        return statuses

    with ThreadPoolExecutor(12) as clients:
        guesses = [clients.submit(guess, n) for n in range(12)]
        try:
            answers = [service.get("/users")[0] for _ in range(20)]
        finally:
            done.set()
    assert answers == [200] * 20
    assert set.union(*(one.result() for one in guesses)) <= {401, 429}
