"""Who may call the API: holders of a token or a session, or everybody where access is open."""

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User as Account
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from pytest_django import Settings

from tests.support.service import Service

pytestmark = pytest.mark.django_db
JSON = "application/json"
USER = {"name": "Test User", "email": "test@example.com"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.parametrize("method", ["get", "post"])
def test_call_without_credentials_is_refused(client: Client, method: str) -> None:
    assert getattr(client, method)("/users").status_code == 401


def test_password_gets_token_that_opens_the_api(client: Client, account: Account) -> None:
    response = client.post("/auth/token", headers=basic(account.username, "a password of alice"))
    bearer = {"authorization": f"Bearer {response.json()['token']}"}
    assert client.get("/users", headers=bearer).status_code == 200


def test_token_is_not_stored(token: str) -> None:
    stored = AuthToken.objects.get()
    assert token not in (stored.digest, stored.token_key)
    assert len(stored.token_key) < len(token) / 2


def test_token_gets_no_further_token(api: Client) -> None:
    assert api.post("/auth/token").status_code == 401


def test_expired_token_is_refused(api: Client) -> None:
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert api.get("/users").status_code == 401


def test_token_of_inactive_account_is_refused(api: Client, account: Account) -> None:
    Account.objects.filter(id=account.id).update(is_active=False)
    assert api.get("/users").status_code == 401


def test_new_password_ends_the_tokens(api: Client, account: Account) -> None:
    other = Account.objects.create_user("bob")
    AuthToken.objects.create(other)
    account.email = "alice@example.com"
    account.save()
    assert api.get("/users").status_code == 200
    account.set_password("another password of alice")
    account.save()
    assert api.get("/users").status_code == 401
    assert AuthToken.objects.get().user == other


@pytest.mark.parametrize("password", ["another password of alice", "", None])
def test_new_password_saved_alone_ends_the_tokens(api: Client, account: Account, password: str | None) -> None:
    if password is None:
        account.set_unusable_password()
    else:
        account.set_password(password)
    account.save(update_fields=["password"])
    assert api.get("/users").status_code == 401


def test_renewed_hash_keeps_the_tokens(api: Client, account: Account, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    before = account.password
    assert account.check_password("a password of alice")
    assert Account.objects.get().password != before
    assert api.get("/users").status_code == 200


def test_login_without_a_password_keeps_the_tokens(account: Account, client: Client) -> None:
    """As of an account that logs in elsewhere."""
    account.set_unusable_password()
    account.save()
    AuthToken.objects.create(account)
    client.force_login(account)
    assert AuthToken.objects.exists()


def test_logout_ends_the_token(api: Client) -> None:
    assert api.post("/auth/logout").status_code == 204
    assert api.get("/users").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer a b",
        "Bearer \xff",
        "Bearer x\0y",
        "Bearer " + "f" * 5000,
        "Basic x",
        "Basic YQBiOmM=",
        "x" * 9000,
    ],
)
@pytest.mark.parametrize("path", ["/users", "/auth/token"])
def test_nonsense_credentials_are_refused(client: Client, path: str, header: str) -> None:
    client.raise_request_exception = False
    assert client.post(path, headers={"authorization": header}).status_code == 401


def test_session_opens_the_api(client: Client, account: Account) -> None:
    client.force_login(account)
    assert client.get("/users").status_code == 200


def test_cookies_of_another_application_on_the_host_hide_none(account: Account) -> None:
    """Below a path prefix browsers send them last."""
    client = Client(enforce_csrf_checks=True)
    others = {"sessionid": "a" * 32, "csrftoken": "b" * 32}

    def post(path: str, data: dict[str, str], **options: Any) -> int:
        token = client.cookies[settings.CSRF_COOKIE_NAME].value
        client.cookies.load(others)
        return client.post(path, data, headers={"x-csrftoken": token}, **options).status_code

    client.get("/session/login")
    assert post("/session/login", {"username": account.username, "password": "a password of alice"}) == 302
    assert post("/users", USER, content_type=JSON) == 201


def test_session_without_csrf_token_changes_nothing(account: Account) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(account)
    response = client.post("/users", USER, content_type=JSON)
    assert (response.status_code, response["Content-Type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "content_type"), [("/", JSON), ("/session/login", JSON), ("/admin/login/", "text/html")]
)
def test_page_without_csrf_token_is_refused_as_the_client_reads(path: str, content_type: str) -> None:
    response = Client(enforce_csrf_checks=True).post(path, headers={"accept": content_type})
    assert response.status_code == 403
    assert response["Content-Type"].startswith("text/html" if path.startswith("/admin") else "application/problem+json")


@pytest.mark.parametrize("form", ["jürgen", "ju\u0308rgen"])
def test_create_token_prints_working_token(client: Client, form: str) -> None:
    Account.objects.create_user("jürgen")
    output = StringIO()
    call_command("create_token", form, stdout=output)
    assert client.get("/users", headers={"authorization": f"Bearer {output.getvalue().strip()}"}).status_code == 200


@pytest.mark.parametrize("hours", [-1, 87_601, 90_000_000, 99_999_999_999])
def test_create_token_for_too_long_says_so(account: Account, hours: int) -> None:
    with pytest.raises(CommandError, match=f"--hours has the value {hours}; expected 0 to 87600"):
        call_command("create_token", account.username, hours=hours)


def test_create_token_of_nobody_says_so() -> None:
    with pytest.raises(CommandError, match="No account has the name 'nobody'"):
        call_command("create_token", "nobody")


def test_create_token_of_inactive_account_says_so(account: Account) -> None:
    account.is_active = False
    account.save()
    with pytest.raises(CommandError, match="The account 'alice' is inactive"):
        call_command("create_token", account.username)


def test_open_access_needs_no_credentials(empty_service: Callable[[str], Service]) -> None:
    service = empty_service("sqlite")
    assert service.request("POST", "/users", USER)[0] == 201
    assert service.get("/users")[0] == 200


def test_open_access_takes_no_form_of_another_page(open_services: Callable[[str], Service]) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert open_services("sqlite").request("POST", "/users", "name=a&email=a@example.com", form)[0] == 415
