"""`manage.py create_admin`: the account of an unattended start."""

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command
from django.db.models import QuerySet
from django.test import RequestFactory

pytestmark = pytest.mark.django_db
PASSWORD = "horse-battery-staple"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SUPERUSER_USERNAME", raising=False)
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)


def test_create_admin_makes_superuser(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_admin")
    account = authenticate(RequestFactory().get("/"), username="admin", password=PASSWORD)
    assert account is not None
    assert account.is_superuser
    assert account.is_staff
    assert PASSWORD not in capsys.readouterr().out


def test_create_admin_name_of_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "ada")
    call_command("create_admin")
    assert authenticate(RequestFactory().get("/"), username="ada", password=PASSWORD)


def test_create_admin_existing_account_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("create_admin")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "another one")
    call_command("create_admin")
    assert authenticate(RequestFactory().get("/"), username="admin", password=PASSWORD)


def test_create_admin_twice_makes_one_whatever_the_form_of_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "ju\u0308rgen")
    call_command("create_admin")
    call_command("create_admin")
    assert "exists already" in capsys.readouterr().out
    assert get_user_model().objects.get().username == "jürgen"


def test_create_admin_beside_another_says_that_it_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_admin")
    monkeypatch.setattr(QuerySet, "exists", lambda _: False)  # as before the other one made it
    call_command("create_admin")
    assert "exists already" in capsys.readouterr().out


def test_create_admin_without_password_makes_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", " ")
    call_command("create_admin")
    assert not get_user_model().objects.exists()
    assert "DJANGO_SUPERUSER_PASSWORD is empty" in capsys.readouterr().out
