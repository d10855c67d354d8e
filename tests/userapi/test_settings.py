"""Settings: safe by default, loud about mistakes, read from the environment alone."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from telemetry import lifecycle
from tests.support.service import ROOT

SECRET = "q8Zr5uVd1Yw0pKfX7mGh3TnBsL9cJeAo6iUxRtWvE2yM4bNzQk"
OURS = ("DJANGO_", "DATABASE_", "USERAPI_")

PRODUCTION = {
    "DJANGO_SECRET_KEY": SECRET,
    "DJANGO_ALLOWED_HOSTS": "users.example.com",
    "DATABASE_URL": "postgres://user:secret@db.example/users",
    "DJANGO_BEHIND_PROXY": "true",
    "TELEMETRY_MODE": "direct",
    "METRICS_TOKEN": SECRET,
    "TELEMETRY_INCOMING_CONTEXT": "link",
}


def load(monkeypatch: pytest.MonkeyPatch, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the environment makes."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "userapi" / "settings.py"))


def manage(env: Mapping[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT,
        env={**clean, "TELEMETRY_MODE": "off", **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def deploy_check() -> subprocess.CompletedProcess[str]:
    return manage(PRODUCTION, "check", "--deploy", "--fail-level", "WARNING")


def test_production_environment_passes_the_deploy_check(deploy_check: subprocess.CompletedProcess[str]) -> None:
    assert deploy_check.returncode == 0, deploy_check.stderr


def test_deploy_check_says_what_a_proxy_must_do(deploy_check: subprocess.CompletedProcess[str]) -> None:
    assert "(userapi.I001)" in deploy_check.stderr
    assert "docs/production.md#slow-clients" in deploy_check.stderr


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"USERAPI_OPEN_ACCESS": "true"}, ["userapi.W001"]),
        ({"DJANGO_BEHIND_PROXY": ""}, ["userapi.W002"]),
        ({"METRICS_TOKEN": ""}, ["telemetry.W002"]),
        ({"METRICS_TOKEN": "", "TELEMETRY_MODE": "collector"}, []),
        ({"TELEMETRY_INCOMING_CONTEXT": ""}, ["telemetry.W003"]),
        ({"TELEMETRY_INCOMING_CONTEXT": "trust"}, []),
        ({"TELEMETRY_INCOMING_CONTEXT": "", "METRICS_TOKEN": "", "TELEMETRY_MODE": "off"}, []),
        ({"TELEMETRY_MODE": "nonsense"}, ["telemetry.E001"]),
    ],
)
def test_deploy_check_knows_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], found: list[str]
) -> None:
    loaded = load(monkeypatch, {**PRODUCTION, **change})
    monkeypatch.setattr(lifecycle._Process, "config", None)
    with override_settings(**{name: loaded[name] for name in loaded if name.isupper() and name != "DATABASES"}):
        issues = [each for each in checks.run_checks(include_deployment_checks=True) if not each.is_silenced()]
    assert [each.id for each in issues if each.level >= checks.WARNING] == found


def test_preload_is_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, PRODUCTION)["SECURE_HSTS_PRELOAD"] is False
    assert load(monkeypatch, {**PRODUCTION, "DJANGO_HSTS_PRELOAD": "true"})["SECURE_HSTS_PRELOAD"] is True


def test_defaults_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"DJANGO_SECRET_KEY": SECRET})
    assert settings["DEBUG"] is False
    assert settings["OPEN_ACCESS"] is False
    assert settings["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert all(settings[name] for name in ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"))
    assert settings["SECURE_PROXY_SSL_HEADER"] is None


def test_debug_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"DJANGO_DEBUG": "true"})
    assert settings["DEBUG"] is True
    assert settings["SECURE_SSL_REDIRECT"] is False


def test_plain_http_switches_everything_that_needs_https_off(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"DJANGO_SECRET_KEY": SECRET, "DJANGO_HTTPS": "false"})
    names = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
    assert not any(settings[name] for name in names)


def test_proxy_is_trusted_when_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"DJANGO_SECRET_KEY": SECRET, "DJANGO_BEHIND_PROXY": "true"})
    assert settings["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.parametrize("debug_key", ["", "short", "a" * 60, "changeme" * 10, "django-insecure-" + SECRET])
def test_weak_secret_key_is_refused(monkeypatch: pytest.MonkeyPatch, debug_key: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DJANGO_SECRET_KEY.*; expected a random text of 50") as error:
        load(monkeypatch, {"DJANGO_SECRET_KEY": debug_key})
    assert not debug_key or debug_key not in str(error.value)


def test_secret_key_of_debug_mode_is_refused_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    key = load(monkeypatch, {"DJANGO_DEBUG": "true"})["SECRET_KEY"]
    with pytest.raises(ImproperlyConfigured):
        load(monkeypatch, {"DJANGO_DEBUG": "false", "DJANGO_SECRET_KEY": key})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DJANGO_DEBUG", "yep"),
        ("DJANGO_HTTPS", "2"),
        ("DJANGO_BEHIND_PROXY", "x"),
        ("DJANGO_HSTS_SUBDOMAINS", "x"),
        ("DJANGO_HSTS_PRELOAD", "x"),
        ("USERAPI_OPEN_ACCESS", "maybe"),
        ("DJANGO_HSTS_SECONDS", "-1"),
        ("DJANGO_CSRF_TRUSTED_ORIGINS", "example.com"),
        ("USERAPI_MAX_BODY_BYTES", "1MB"),
        ("USERAPI_MAX_BODY_BYTES", "1"),
        ("USERAPI_CONSOLE_URL", "javascript:alert(1)"),
    ],
)
def test_bad_value_names_variable_value_and_what_is_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        load(monkeypatch, {"DJANGO_SECRET_KEY": SECRET, name: value})
    message = str(error.value)
    assert message.startswith(f"{name}: invalid value {value!r}; expected ")
    assert "\n" not in message


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://user:secret@host/name",
        "postgres://user:secret@host:port/name",
        "postgres://user:secret@host/",
        "postgres://user:secret@host",
        "sqlite://host/path",
        "sqlite:///",
        "postgres://[secret/name",
    ],
)
def test_bad_database_url_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"^DATABASE_URL: invalid value \(hidden\); expected sqlite:"
    ) as error:
        load(monkeypatch, {"DJANGO_SECRET_KEY": SECRET, "DATABASE_URL": url})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("env", "path"), [({}, "/"), ({"SCRIPT_NAME": "/api"}, "/api")])
def test_cookies_have_the_path_prefix(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], path: str) -> None:
    settings = load(monkeypatch, {**PRODUCTION, **env})
    assert (settings["SESSION_COOKIE_PATH"], settings["CSRF_COOKIE_PATH"]) == (path, path)


@pytest.mark.parametrize(
    ("env", "size"),
    [({}, 5), ({"USERAPI_THREADS": "7"}, 8), ({"USERAPI_THREADS": "7", "DATABASE_POOL_SIZE": "2"}, 2)],
)
def test_pool_follows_the_threads(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], size: int) -> None:
    database = load(monkeypatch, {**PRODUCTION, **env})["DATABASES"]["default"]
    assert database["OPTIONS"]["pool"]["max_size"] == size
    assert database["CONN_HEALTH_CHECKS"] is True


def test_documented_tls_of_the_database_names_its_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default libpq looks for them in the home of the user, which the image's has not."""
    production = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"`(\?sslmode=\S+)`", production)
    environment = {**PRODUCTION, "DATABASE_URL": f"postgres://u:p@h/n{query}"}
    options = load(monkeypatch, environment)["DATABASES"]["default"]["OPTIONS"]
    authorities = "/etc/ssl/certs/ca-certificates.crt"  # of Debian, which the image is made of
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", authorities)


def test_sqlite_is_the_default_with_wal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load(monkeypatch, {"DJANGO_DEBUG": "true"})["DATABASES"]["default"]["NAME"] == str(ROOT / "db.sqlite3")
    env = {"DJANGO_DEBUG": "true", "DATABASE_URL": f"sqlite:///{tmp_path / 'a.sqlite3'}"}
    script = (
        "from django.db import connection as c; names = ('journal_mode', 'foreign_keys', 'busy_timeout');"
        "print(*[c.cursor().execute(f'PRAGMA {name}').fetchone()[0] for name in names], c.transaction_mode)"
    )
    assert manage(env, "shell", "--no-imports", "-c", script).stdout.split() == ["wal", "1", "10000", "IMMEDIATE"]


def test_collected_static_files_are_served_with_hashed_names(tmp_path: Path) -> None:
    env = {"DJANGO_DEBUG": "false", "DJANGO_SECRET_KEY": SECRET, "DJANGO_STATIC_ROOT": str(tmp_path / "static")}
    # Compressing the large bundles of the API's documents takes a minute.
    result = manage(
        env,
        "collectstatic",
        "--no-input",
        "--ignore=drf_spectacular_sidecar",
        "--ignore=admin",
        "--ignore=rest_framework",
    )
    assert result.returncode == 0, result.stderr
    script = (
        "from django.test import Client; import re; c = Client(SERVER_NAME='localhost', SERVER_PORT='443');"
        "page = c.get('/', secure=True).content.decode(); link = re.search(r'/static/userapi/home[^\"]*', page)[0];"
        "print(link, c.get(link, secure=True).status_code)"
    )
    link, status = manage(env, "shell", "--no-imports", "-c", script).stdout.split()[-2:]
    assert link.startswith("/static/userapi/home.")
    assert link != "/static/userapi/home.css"
    assert status == "200"


def test_runserver_never_logs_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    logging = load(monkeypatch, {"DJANGO_DEBUG": "true"})["LOGGING"]
    assert logging["loggers"]["django.server"]["level"] == "CRITICAL"
    assert not any(name.startswith("gunicorn") for name in logging["loggers"])
