"""What the redactor removes, keeps and cuts."""

import json
import logging
import sys
from collections.abc import Callable
from time import thread_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.logs import JsonFormatter, ReadableFormatter, RedactingFormatter
from telemetry.privacy import (
    ATTRIBUTE_COUNT,
    BODY_BYTES,
    DROPPED,
    STACK_BYTES,
    TEXT_BYTES,
    TOTAL_BYTES,
    Redactor,
)
from tests.support.speed import is_within

REDACTOR = Redactor()
QUIET = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TOKEN = "8f14e45fceea167a5a36dedd4bea2543" * 2
SECRET = "zq1canary"

SECRETS = [
    f"mail to {SECRET}@example.com.",
    f'mail to "{SECRET} smith"@example.com',
    f"GET /users?name={SECRET}&page=2 failed",
    f"redirect to http://localhost/x?{SECRET}",
    f"email%3D{SECRET}%40example.com",
    f"postgres://me:{SECRET}@db:5432/x",
    f"postgres://{SECRET}:p@ss/w?rd@db:5432/x",
    f"host=db user=me password={SECRET} dbname=x",
    f"Authorization: Basic {SECRET}==",
    f"{{'Authorization': 'Bearer {SECRET}', 'Accept': '*/*'}}",
    f"Cookie: a=b; sessionid={SECRET}; c=d",
    f"{{'Set-Cookie': 'sessionid={SECRET}; Path=/'}}",
    f"{{'sessionid': '{SECRET}'}}",
    f'{{"password": "{SECRET}", "name": "x"}}',
    f'{{"password": "x\\" {SECRET}", "name": "x"}}',
    f"password='{SECRET}",
    f"password=[{SECRET}]",
    f"password=a,b;c(d{SECRET}",
    f"password%3D{SECRET}",
    f"{{'password': ['{SECRET}'], 'email': []}}",
    f"PASSWORD 'it''s {SECRET}'",
    f"SECRET_KEY: {SECRET}",
    f"the user {SECRET} logged in",
    f"Authentication failed for '{SECRET}'",
    f"csrftoken={SECRET}",
    f"X-CSRFToken: {SECRET}",
    f"used token {SECRET}",
    f"bearer {SECRET}",
    f"session {SECRET}aaaaaaaaaaaaaaaaaaaaa",
    f"key {SECRET}0123456789012345678901234567890",
    f'duplicate key value violates unique constraint "x"\nDETAIL:  Key (lower(email::text))=({SECRET}) already exists.',
    f"DETAIL:  Key (a, b)=(1, {SECRET}\n) is not present in table",
    f"DETAIL:  Failing row contains (1, {SECRET}, null).",
    f'invalid input syntax for type uuid: "{SECRET}"',
    f'near "{SECRET}": syntax error',
    f'unrecognized token: "{SECRET}"',
    f"SELECT * FROM users_user WHERE email = '{SECRET}' AND id = 4",  # noqa: S608
    f"LINE 1: insert into x values ('{SECRET}')",  # noqa: S608
    f"update users set name = '{SECRET}'",  # noqa: S608
    f"Login failed for user {SECRET}",
    f"Login failed for {SECRET}",
    f"logged in as {SECRET}",
    f'FATAL:  password authentication failed for user "{SECRET}"',
    f'role "{SECRET}" does not exist',
    f"username={SECRET}",
    f"Changed “{SECRET}” — Password.",
    f"The user “{SECRET}” was added successfully.",
    f"<User: {SECRET}>",
    f"<WSGIRequest: POST '/x/{SECRET}'>",
    f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.abc",
]
HARMLESS = [
    "C:\\new\\table\\readme.txt is 'a\\nb\\n' or b'GET / HTTP/1.1\\r\\nHost: x\\r\\n'",
    "GET /users/{id} 200",
    "Starting user-api server",
    "The database does not answer",
    "trace 5d41402abc4b2a76b9719d911017c592",
    "user 3f2504e0-4f89-11d3-9a0c-0305e82c3301 is gone",
    "UNIQUE constraint failed: users_user.email",
    '  File "/srv/userapi/users/views.py", line 48, in create\n    return self.save(data)',
    "basic authentication is required",
    "Why? Nobody knows.",
    "in 3.5 ms (2 queries)",
    "telemetry dropped at stop: 30 spans; not delivered within 2.0 s",
    "grpc http://127.0.0.1:4317",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
]


@pytest.mark.parametrize("text", SECRETS)
def test_text_secret(text: str) -> None:
    assert SECRET not in REDACTOR.text(text)


@pytest.mark.parametrize("text", SECRETS)
def test_text_secret_between_other_text(text: str) -> None:
    assert SECRET not in REDACTOR.stack(f"Traceback:\n  x = y\nValueError: {text}\n\nthe next one: {text}\n")


@pytest.mark.parametrize("text", SECRETS)
def test_text_secret_behind_escaped_white_space(text: str) -> None:
    for white in ("\n", "\t", "\r\n"):
        shown = f"x{white}{text}"
        assert SECRET not in REDACTOR.text(json.dumps({"a": shown}))
        assert SECRET not in REDACTOR.text(json.dumps({"a": json.dumps({"b": shown})}))
        assert SECRET not in REDACTOR.text(f"failed: {ValueError(shown)!r}")


@pytest.mark.parametrize("text", HARMLESS)
def test_text_harmless(text: str) -> None:
    assert REDACTOR.text(text) == text


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("http.request.method", "GET", "GET"),
        ("http.route", "/users/{id}", "/users/{id}"),
        ("http.response.status_code", 200, 200),
        ("url.query", f"a={SECRET}", "***"),
        ("url.query", "", ""),
        *((name, f"a={SECRET}", "***") for name in ("query_string", "rawQueryString", "query-string")),
        ("url.path", "/admin/login/", "/***/***/"),
        ("url.full", f"http://me:{SECRET}@h:80/a?b={SECRET}", "http://***@h:80/a?***"),
        ("http.request.header.authorization", [SECRET], "***"),
        ("http.request.header.content_type", ["text/html"], ["text/html"]),
        ("http.request.header.x_custom", [SECRET], "***"),
        ("http.response.header.set_cookie", [SECRET], "***"),
        ("session.id", SECRET, "***"),
        ("user.email", SECRET, "***"),
        ("user_agent.original", f"curl/8 ({SECRET}@example.com)", "curl/8 (***)"),
        ("password", 1234, "***"),
        ("db.query.text", f"SELECT '{SECRET}', \"a\" FROM b1 -- x", 'SELECT ?, "a" FROM b1 '),  # noqa: S608
        ("db.query.text", "UPDATE a SET b = %s, c = $1, d = ? WHERE e = E'\\'' || $t$'$t$", None),
        ("db.query.parameter.0", SECRET, "***"),
        ("db.operation.name", "SELECT", "SELECT"),
        ("anything", f"{SECRET}@example.com", "***"),
        ("anything", ("a", f"{SECRET}@example.com"), ["a", "***"]),
        ("anything", {"password": SECRET, "n": 1}, {"password": "***", "n": 1}),
        ("anything", f"{SECRET}@example.com".encode(), "***"),
    ],
)
def test_attribute(key: str, value: object, expected: object) -> None:
    if expected is None:
        expected = "UPDATE a SET b = %s, c = $1, d = ? WHERE e = ? || ?"
    assert REDACTOR.attributes({key: value}) == {key: expected}


@pytest.mark.parametrize(
    ("path", "route", "expected"),
    [
        ("/users", "/users", "/users"),
        ("/users/17", "users/<int:id>", "/users/17"),
        ("/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/users/{id}", "/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        (
            f"/admin/auth/user/{SECRET}/change/",
            "admin/auth/user/<path:object_id>/change/",
            "/admin/auth/user/***/change/",
        ),
        (f"/users/{SECRET}?a=b", "/users/{id}", "/users/***"),
    ],
)
def test_path_beside_its_route(path: str, route: str, expected: str) -> None:
    assert REDACTOR.attributes({"url.path": path, "http.route": route})["url.path"] == expected


def test_value_that_was_harmless_elsewhere() -> None:
    """What is remembered of harmless attributes holds for the same name, and for paths beside the same route."""
    redactor = Redactor()
    assert redactor.attributes({"note": "zebra", "http.route": "/a/b", "url.path": "/a/b"})["url.path"] == "/a/b"
    assert redactor.attributes({"password": "zebra"}) == {"password": "***"}
    assert redactor.attributes({"http.route": "/a/{id}", "url.path": "/a/b"})["url.path"] == "/a/***"
    for number in range(3000):
        redactor.attributes({"note": f"harmless {number}"})
    assert len(redactor._clean_attributes) <= 1024


def test_pattern_of_the_operator() -> None:
    redactor = Redactor([r"customer-\d+", "acme"])
    assert redactor.text("customer-17 of acme") == "*** of ***"


def test_pattern_in_a_long_text() -> None:
    assert "acme" not in Redactor(["acme"]).stack("x\nacme\n" * 3000)


# --- Bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["x", "ü", "€", "😀"])
def test_bounds_of_texts(character: str) -> None:
    long = f"{character * 99} " * 1000
    for redacted, limit in (
        (REDACTOR.text(long), TEXT_BYTES),
        (REDACTOR.body(long), BODY_BYTES),
        (REDACTOR.stack(long), STACK_BYTES),
    ):
        assert limit - 40 <= len(redacted.encode()) <= limit
        assert "... [cut, 100000 characters]" in redacted


def test_bounds_of_a_stack_trace_keep_its_end() -> None:
    redacted = REDACTOR.stack("first line\n" + "  a frame\n" * 10_000 + "ValueError: the reason")
    assert redacted.startswith("first line")
    assert redacted.endswith("ValueError: the reason")


def test_bounds_of_attributes() -> None:
    redacted = REDACTOR.attributes({f"key{number}": "x" * 300 for number in range(200)})
    assert len(redacted) == ATTRIBUTE_COUNT
    assert redacted[DROPPED] == 200 - ATTRIBUTE_COUNT + 1


def test_bounds_of_attributes_together() -> None:
    redacted = REDACTOR.attributes({f"key{number}": "€" * 5000 for number in range(50)})
    assert sum(len(f"{key}{value}".encode()) for key, value in redacted.items()) <= TOTAL_BYTES
    assert redacted[DROPPED] == 50 - len(redacted) + 1


def test_bounds_of_a_value_with_many_values() -> None:
    """What does not fit is not redacted, whatever it is: that would take as long as for all of it."""
    mapping = {f"key{number}": f"{number} {'x ' * 1000}" for number in range(2000)}
    for value in (mapping, list(mapping.values()), tuple(mapping.items()), {"a": {"b": [mapping] * 3}}):
        redactor, lengths = Redactor(), []
        whole = redactor.text

        def text(seen: str, limit: int = TEXT_BYTES, whole: Callable[..., str] = whole) -> str:
            lengths.append(len(seen))  # noqa: B023
            return whole(seen, limit)

        redactor.text = text  # type: ignore[method-assign, assignment]
        redactor.attributes({"a": value})
        assert sum(lengths) < 2 * TOTAL_BYTES
    many = {f"key{number}": number for number in range(200)}
    kept = REDACTOR.attributes({"a": many})["a"]
    assert (len(kept), kept[DROPPED], kept["key0"]) == (ATTRIBUTE_COUNT, 200 - ATTRIBUTE_COUNT + 1, 0)
    page = {"body": "x " * 100_000, "status": 200}
    assert REDACTOR.attributes({"a": page})["a"]["status"] == 200


def _nested(levels: int) -> list[object]:
    inner: list[object] = []
    for _ in range(levels):
        inner = [*range(60), inner]
    return inner


@pytest.mark.parametrize("value", [[list(range(1_000_000))], _nested(150), {"a": _nested(150)}, [[[1] * 60] * 60] * 60])
def test_bounds_of_a_value_with_values_within_values(value: object) -> None:
    started = thread_time()
    kept = REDACTOR.attributes({"a": value})["a"]
    assert is_within(thread_time() - started, 0.1)
    assert REDACTOR.attributes({"a": kept}) == {"a": kept}
    assert 200 < len(str(kept)) < TOTAL_BYTES


def test_bounds_of_values_beside_the_name_of_a_secret() -> None:
    """The name may be beyond the limits."""
    for length in range(100, 200):
        kept = REDACTOR.attributes({"a": [{"value": SECRET, "b": "x " * (length // 2), "name": "password"}] * 60})["a"]
        assert kept
        assert SECRET not in str(kept)


def test_bounds_in_log_lines() -> None:
    try:
        raise ValueError("y" * 100_000)  # noqa: TRY301
    except ValueError:
        extra = {f"extra{number}": "z" * 5000 for number in range(100)}
        record = logging.getLogger("x").makeRecord("x", 40, "f", 1, "b" * 100_000, (), sys.exc_info(), extra=extra)
    line = json.loads(JsonFormatter().format(record))
    assert line["body"].endswith("... [cut, 100000 characters]")
    assert len(json.dumps(line["attributes"])) < 48 * 1024
    assert line["attributes"][DROPPED] > 0
    assert len(ReadableFormatter().format(record)) < 64 * 1024


@pytest.mark.parametrize("position", range(TEXT_BYTES - 40, TEXT_BYTES + 5))
@pytest.mark.parametrize("secret", [f"{SECRET}@example.com", f"password={SECRET}", f"{SECRET}{TOKEN}"])
def test_secret_across_a_cut(position: int, secret: str) -> None:
    redacted = REDACTOR.text(f"{'x ' * (position // 2)}{secret} {'y ' * 5000}")
    assert SECRET[:6] not in redacted


# --- Log records ----------------------------------------------------------------------------------------------------


def test_record_whose_arguments_do_not_fit(capfd: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    handler.handle(logging.makeLogRecord({"msg": "%d users", "args": (SECRET,)}))
    printed = capfd.readouterr().err
    assert "its arguments do not fit" in printed
    assert SECRET not in printed


def test_record_of_gunicorn() -> None:
    formatter = RedactingFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    record = logging.makeLogRecord(
        {"msg": "Error handling request %s", "args": (f"/x?{SECRET}",), "levelname": "ERROR"}
    )
    assert formatter.format(record) == "[ERROR] Error handling request ***"


# --- Properties -----------------------------------------------------------------------------------------------------

# Pieces that the rules look for, so that chance brings together what they must cope with.
WORDS = """
@ ? :// %40 < > : = ' " ( ) [ ] { } , ; & \\ / password token Cookie Authorization Bearer Basic session Key user login
SELECT FROM WHERE VALUES insert into update set
 “ ” *** ... [cut, 12 already exists . a b@c eyJ1234567890
Failing row contains invalid input near 'x' failed for logged in as null 17 \0 é
"""
PHRASES = ["\n", "\ud800", "Key (", ")=(", "Login failed for ", "logged in as ", "password ", "Failing row contains ("]
PIECES = st.sampled_from([*WORDS.split(), *PHRASES])
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=40).flatmap(
    lambda pieces: st.sampled_from(["", " "]).map(lambda between: between.join(pieces))
)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@QUIET
@given(TEXTS)
def test_property_text_idempotent(text: str) -> None:
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) == once


@QUIET
@given(st.dictionaries(TEXTS | st.sampled_from(["url.path", "url.full", "db.query.text", "http.route"]), VALUES))
def test_property_attributes_never_raise_and_are_idempotent(attributes: dict[str, object]) -> None:
    once = REDACTOR.attributes(attributes)
    json.dumps(once, ensure_ascii=False).encode()
    assert repr(REDACTOR.attributes(once)) == repr(once)


@QUIET
@given(TEXTS, st.integers(0, 1500), st.integers(64, 5000))
def test_property_text_within_its_bound(text: str, times: int, limit: int) -> None:
    assert len(REDACTOR.text(text * times, limit).encode()) <= limit
    assert len(REDACTOR.stack(text * times).encode()) <= STACK_BYTES
