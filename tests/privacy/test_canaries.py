"""No secret that a client sends, or that the service makes for one, arrives anywhere: all bytes are searched."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from django.contrib.auth.hashers import MD5PasswordHasher

from tests.privacy.canaries import Canaries
from tests.privacy.recorder import Recorder, recording
from tests.support.routes import Route
from tests.support.service import Service, free_port

StartService = Callable[..., Service]
FORM = "application/x-www-form-urlencoded"
OPENMETRICS = "application/openmetrics-text"
LEAKING = "tests.privacy.settings_with_leaks"
RULELESS = "tests.privacy.settings_without_rules"
UNREDACTED = "tests.privacy.settings_without_redaction"


@dataclass
class Answer:
    status: int
    cookies: dict[str, str]
    body: str


class Client:
    """Sends requests as any client can, odd ones included; no cookie jar."""

    def __init__(self, service: Service) -> None:
        self._port = service.port

    def send(self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body, {"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            pairs = [line.partition(";")[0].partition("=") for line in response.headers.get_all("Set-Cookie", [])]
            return Answer(response.status, {name: value for name, _, value in pairs}, response.read().decode())
        finally:
            connection.close()

    def form(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("POST", path, urlencode(fields), {"Content-Type": FORM, **(headers or {})})

    def json(self, method: str, path: str, data: object, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send(method, path, json.dumps(data), {"Content-Type": "application/json", **(headers or {})})


@dataclass
class Collected:
    """All that left the service."""

    otlp: Recorder
    metrics: list[bytes]
    output: bytes


def use_api(client: Client, canaries: Canaries) -> None:
    """Use the API well and badly, with secrets in each place that a client controls."""
    duplicate = {"name": "Test User", "email": canaries.email("a duplicate")}
    assert client.json("POST", "/users", duplicate).status == 201
    assert client.json("POST", "/users", duplicate).status == 409
    assert client.json("POST", "/users", duplicate, canaries.headers("a post's headers")).status == 401
    upper = {**duplicate, "email": duplicate["email"].upper()}
    created = client.json("POST", "/users", {"name": "Other", "email": canaries.email("a second user")})
    user = json.loads(created.body)["id"]
    assert client.json("PATCH", f"/users/{user}", upper).status == 409
    for data in (canaries.fields("a bad JSON body"), {"name": canaries.email("a name"), "email": "none"}):
        client.json("POST", "/users", data)
    client.send(
        "POST",
        "/users",
        f'{{"password": "{canaries.mark("password", "broken JSON")}"',
        {"Content-Type": "application/json"},
    )
    client.form("/users", canaries.fields("a form for the API"))
    search = {
        **canaries.fields("a query"),
        "search": canaries.email("a search"),
        "cursor": canaries.mark("token", "cursor"),
    }
    client.send("GET", f"/users?{urlencode(search)}", headers=canaries.headers("a list's headers"))
    for path in ("/users/{}", "/{}", "/admin/{}", "/static/{}", "/users/{}/x"):
        client.send("GET", path.format(quote(canaries.email(f"the path {path}"))))
        client.send("GET", path.format(canaries.mark("any word", f"the path {path}")))
        client.send("DELETE", path.format(canaries.opaque("token", f"the path {path}", 64)))
    client.send(canaries.mark("any word", "the method").upper(), "/users")
    client.send("GET", "/users", headers={"Host": f"{canaries.mark('any word', 'Host')}.example"})
    state = {
        "tracestate": f"vendor={canaries.mark('any word', 'tracestate')}",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    client.send("GET", "/users", headers=state)
    bad = {"Authorization": f"Bearer {canaries.opaque('knox token', 'a refused token', 64)}"}
    client.send("GET", "/users", headers=bad)
    client.send("POST", "/auth/token", headers={"Authorization": canaries.basic("a refused login")})


def use_admin(client: Client, canaries: Canaries, account: str, password: str) -> None:
    """Log in to the admin, wrongly and rightly, and work with its forms; get a token."""
    page = "/admin/login/?next=/admin/"
    cookie = client.send("GET", page).cookies["userapi_csrftoken"]
    canaries.known(cookie, "CSRF token", "the admin's cookie")
    wrong = {
        "username": canaries.mark("account", "a failed login"),
        "password": canaries.mark("password", "a failed login"),
    }
    headers = {"Cookie": f"userapi_csrftoken={cookie}"}
    client.form(page, {**wrong, "csrfmiddlewaretoken": cookie}, headers)
    client.form(
        page, {**wrong, "csrfmiddlewaretoken": canaries.opaque("CSRF token", "a wrong CSRF token", 64)}, headers
    )
    client.form(page, wrong)
    place = "a wrong Referer"
    referer = f"https://{canaries.mark('account', place)}@elsewhere/?q={canaries.mark('query', place)}"
    client.form(page, wrong, {"Referer": referer, "Origin": "http://elsewhere"})
    entered = client.form(page, {"username": account, "password": password, "csrfmiddlewaretoken": cookie}, headers)
    assert entered.status == 302, entered.body
    cookie, session = entered.cookies["userapi_csrftoken"], entered.cookies["userapi_sessionid"]
    canaries.known(cookie, "CSRF token", "the admin's cookie")
    canaries.known(session, "session id", "the admin's cookie")
    headers = {"Cookie": f"userapi_csrftoken={cookie}; userapi_sessionid={session}"}

    def add(path: str, fields: Mapping[str, str]) -> Answer:
        return client.form(path, {**fields, "csrfmiddlewaretoken": cookie}, headers)

    user = {"name": "By the admin", "email": canaries.email("the admin's form")}
    assert add("/admin/users/user/add/", user).status == 302
    assert add("/admin/users/user/add/", user).status == 200
    new = canaries.mark("account", "a new account"), "A-very1" + canaries.mark("password", "a new account")
    created = add(
        "/admin/auth/user/add/",
        {"username": new[0], "password1": new[1], "password2": new[1], "usable_password": "true"},
    )
    assert created.status == 302, created.body
    assert (
        add(
            "/admin/auth/user/add/",
            {"username": new[0], "password1": new[1], "password2": new[1], "usable_password": "true"},
        ).status
        == 200
    )
    listed = client.send("GET", f"/admin/auth/user/?q={new[0]}", headers=headers)
    assert new[0] in listed.body
    page_of = re.search(r'href="(/admin/auth/user/\d+/change/)', listed.body)
    assert page_of
    client.send("GET", page_of[1], headers=headers)
    client.send("GET", f"/admin/auth/user/{new[0]}/change/", headers=headers)
    made = client.send("POST", "/auth/token", headers={**headers, "X-CSRFToken": cookie})
    assert made.status == 200, made.body
    token = canaries.known(json.loads(made.body)["token"], "knox token", "the answer")
    assert client.send("GET", "/users", headers={"Authorization": f"Bearer {token}"}).status == 200
    assert client.send("POST", "/auth/logout", headers={"Authorization": f"Bearer {token}"}).status == 204


def use_leaks(client: Client, canaries: Canaries) -> None:
    """Have careless code disclose all it knows."""
    path = f"/leaks/{quote(canaries.email('a leaked path'))}/{canaries.opaque('token', 'a leaked path', 64)}"
    path += f"/{canaries.opaque('session id', 'a leaked path', 32)}"
    query = urlencode(canaries.fields("a leaked query"))
    client.form(f"{path}?{query}", canaries.fields("a leaked form"), canaries.headers("a leaked form's headers"))
    client.json(
        "POST", f"{path}?{query}", canaries.fields("a leaked JSON"), canaries.headers("a leaked JSON's headers")
    )
    client.form("/leaks/sql", {"literal": canaries.mark("SQL literal", "a failing statement")})


def make_account(database: str, canaries: Canaries) -> tuple[str, str]:
    """Write an account of the admin into the database, as the settings with leaks hash its password."""
    account = canaries.mark("account", "the admin's login")
    password = "A-very1" + canaries.mark("password", "the login")
    row = {
        "username": account,
        "password": MD5PasswordHasher().encode(password, "salt"),
        **dict.fromkeys(("is_superuser", "is_staff", "is_active"), True),
        **dict.fromkeys(("first_name", "last_name", "email"), ""),
        "date_joined": datetime.now(UTC).isoformat(),
    }
    mark = "?" if database.startswith("sqlite") else "%s"
    statement = f"INSERT INTO auth_user ({', '.join(row)}) VALUES ({', '.join([mark] * len(row))})"  # noqa: S608  (names of our own)
    with closing(connect(database)) as connection:
        connection.execute(statement, tuple(row.values()))
        connection.commit()
    return account, password


def connect(database: str) -> Any:
    if database.startswith("sqlite"):
        return sqlite3.connect(database.removeprefix("sqlite:///"))
    folder, _, name = database.removeprefix("postgres://postgres@/").rpartition("/")
    return psycopg.connect(host=folder, dbname=name, user="postgres")


def scrape(client: Client) -> list[bytes]:
    return [
        client.send("GET", "/metrics", headers={"Accept": kind}).body.encode() for kind in ("text/plain", OPENMETRICS)
    ]


def collect(start_service: StartService, route: Route, use: Callable[[Client], None], **env: str) -> Collected:
    """Run the service, use it, stop it, and return all that left it."""
    with recording() as recorder:
        service = start_service(
            "--workers=1",
            **route.env_for(recorder.grpc_port, recorder.http_port),
            **{"DJANGO_SETTINGS_MODULE": LEAKING, "OTEL_PROPAGATORS": "tracecontext,baggage", **env},
        )
        client = Client(service)
        use(client)
        metrics = scrape(client)
        service.stop()
    return Collected(recorder, metrics, service.output.encode())


def assert_complete(collected: Collected, mode: str, statement: bytes = b"db.query.text") -> None:
    """Nothing can be found where nothing arrived."""
    everything = collected.otlp.bytes()
    assert collected.otlp.signals() == ({"traces", "metrics", "logs"} if mode == "collector" else {"traces", "logs"})
    assert all(word in everything for word in (b"exception.stacktrace", statement, b"userapi.access", b"linked"))
    assert b"userapi.access" in collected.output
    if mode == "direct":
        assert all(b"http_server_request_duration" in metrics for metrics in collected.metrics)
        assert b"trace_id" in collected.metrics[1]


@pytest.mark.parametrize(
    ("mode", "protocol", "database"),
    [("collector", "grpc", "sqlite"), ("direct", "http/protobuf", "postgres")],
)
def test_canary_nowhere(
    start_service: StartService,
    mode: str,
    protocol: str,
    database: str,
    request: pytest.FixtureRequest,
) -> None:
    canaries = Canaries()
    url = request.getfixturevalue("own_postgres" if database == "postgres" else "own_sqlite")
    account, password = make_account(url, canaries)

    def use(client: Client) -> None:
        use_api(client, canaries)
        use_admin(client, canaries, account, password)
        use_leaks(client, canaries)

    collected = collect(start_service, Route(mode, protocol), use, DATABASE_URL=url)
    assert_complete(collected, mode)
    assert len(canaries.marks) > 100
    assert canaries.found_in(collected.otlp.bytes()) == {}
    assert canaries.found_in(*collected.metrics) == {}
    assert canaries.found_in(collected.output) == {}


@pytest.mark.parametrize(
    ("mode", "protocol", "database"), [("collector", "http/protobuf", "postgres"), ("direct", "grpc", "sqlite")]
)
def test_canary_nowhere_at_the_strict_level_without_any_rule(
    start_service: StartService,
    mode: str,
    protocol: str,
    database: str,
    request: pytest.FixtureRequest,
) -> None:
    canaries = Canaries()
    url = request.getfixturevalue("own_postgres" if database == "postgres" else "own_sqlite")
    account, password = make_account(url, canaries)

    def use(client: Client) -> None:
        use_api(client, canaries)
        use_admin(client, canaries, account, password)
        use_leaks(client, canaries)

    strict = {"DJANGO_SETTINGS_MODULE": RULELESS, "TELEMETRY_PRIVACY": "strict", "DATABASE_URL": url}
    strict |= {"TELEMETRY_EXPORTER": "thread"}  # where the settings can change the redactor
    collected = collect(start_service, Route(mode, protocol), use, **strict)
    assert_complete(collected, mode, b"db.query.summary")
    assert len(canaries.marks) > 100
    everything = collected.otlp.bytes()
    assert canaries.found_in(everything, *collected.metrics, collected.output) == {}
    for word in (b"url.path", b"client.address", b"user_agent.original", b"exception.message", b"db.query.text"):
        assert word not in everything
        assert word not in collected.output
    assert b"The database" not in everything
    assert b"Login failed for user %s" in everything
    assert b"SELECT users_user" in everything
    assert b"in leak" in everything


def test_canary_found_without_the_redactor(start_service: StartService, own_postgres: str) -> None:
    """The search sees each secret that careless code leaks, were it not for the redactor."""
    canaries, database = Canaries(), Canaries()

    def use(client: Client) -> None:
        use_leaks(client, canaries)
        duplicate = {"name": "Test User", "email": database.email("a duplicate")}
        for _ in range(2):
            client.json("POST", "/users", duplicate)
        client.send("GET", f"/users/{database.mark('any word', 'a path')}?q={database.mark('any word', 'a query')}")

    collected = collect(
        start_service,
        Route("collector", "grpc"),
        use,
        DATABASE_URL=own_postgres,
        DJANGO_SETTINGS_MODULE=UNREDACTED,
        TELEMETRY_EXPORTER="thread",  # where the settings can change the redactor
    )
    plain = {mark: what for mark, what in canaries.marks.items() if not what.startswith("decoded")}
    assert plain.items() - canaries.found_in(collected.otlp.bytes()).items() == set()
    assert database.marks.items() - database.found_in(collected.otlp.bytes()).items() == set()
    in_lines = {what for what in canaries.found_in(collected.output).values() if "tracestate" not in what}
    assert {what.partition(" in ")[0] for what in in_lines} >= {
        "email", "password", "token", "session id", "CSRF token", "API key", "account", "DSN password", "SQL literal",
        "bearer token", "basic credentials", "query",
    }  # fmt: skip


def test_canary_of_a_dead_database(start_service: StartService) -> None:
    canaries = Canaries()
    login = f"{canaries.mark('account', 'the DSN')}:{canaries.mark('password', 'the DSN')}"
    url = f"postgres://{login}@127.0.0.1:{free_port()}/x"

    def use(client: Client) -> None:
        assert client.send("GET", "/users").status == 503
        assert client.send("GET", "/readyz").status == 503

    collected = collect(start_service, Route("direct", "grpc"), use, DATABASE_URL=url)
    assert b"The database does not answer" in collected.output
    assert canaries.found_in(collected.otlp.bytes(), *collected.metrics, collected.output) == {}


def test_redact_pattern_of_the_operator(start_service: StartService) -> None:
    canaries = Canaries()
    word = canaries.mark("any word", "a leaked form")

    def use(client: Client) -> None:
        client.form("/leaks/x", {"note": f"customer {word}", "username": "bob"})

    collected = collect(start_service, Route("collector", "grpc"), use, TELEMETRY_REDACT=r"zq\d+canary other[0-9]")
    assert b"customer ***" in collected.output
    assert canaries.found_in(collected.otlp.bytes(), collected.output) == {}


@pytest.fixture
def own_postgres(migrated_postgres: str) -> str:
    return migrated_postgres


@pytest.fixture
def own_sqlite(migrated_sqlite: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'own.sqlite3')}"
