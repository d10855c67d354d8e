"""The strict level: what leaves comes from the code, whatever the data is. No rule is involved."""

import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from telemetry import privacy
from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.privacy import Constants, Redactor
from telemetry.recording.spans import SpanRecorder
from tests.recording.conftest import close_journal, open_journal

MARK = "".join(["zq1", *"canary"])  # no constant of this module
STRICT = Redactor(strict=True)
MANY = settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"http.request.method": "GET", "http.response.status_code": 200}, None),
        ({"http.request.method": MARK}, {}),
        ({"http.response.status_code": MARK}, {}),
        ({"http.route": "/users/{id}", "url.path": f"/users/{MARK}"}, {"http.route": "/users/{id}"}),
        ({"http.route": f"/users/{MARK}@example.com"}, {}),
        ({"client.address": "10.0.0.1", "user_agent.original": "curl/8", "network.peer.address": "10.0.0.1"}, {}),
        ({"server.address": f"{MARK}.example.com"}, {}),
        ({"db.system.name": "postgresql", "server.address": "db.internal", "server.port": 5432}, None),
        ({"error.type": "django.db.utils.IntegrityError", "db.response.status_code": "23505"}, None),
        ({"error.type": f"a {MARK}"}, {}),
        ({"exception.message": MARK, "exception.type": "ValueError"}, {"exception.type": "ValueError"}),
        ({"note": MARK, "enduser.id": 17, "size": 12, "user": True}, {}),
        ({"db.system.name": "sqlite", "db.query.text": "SELECT * FROM users_user WHERE a = 'x'"},
         {"db.system.name": "sqlite", "db.query.summary": "SELECT users_user"}),
        ({"db.query.text": MARK}, {}),
    ],
)  # fmt: skip
def test_attributes(attributes: dict[str, object], expected: dict[str, object] | None) -> None:
    once = STRICT.attributes(attributes)
    assert once == (attributes if expected is None else expected)
    assert STRICT.attributes(once) == once


@MANY
@given(
    st.dictionaries(
        st.text().map("an unknown {}".format), st.text() | st.integers() | st.lists(st.text()) | st.binary()
    )
)
def test_attributes_of_any_name_do_not_leave(attributes: dict[str, object]) -> None:
    assert STRICT.attributes(attributes) == {}


@MANY
@given(
    before=st.sampled_from(
        ["SELECT a FROM t WHERE b = ", "INSERT INTO t (b) VALUES (", "UPDATE t SET b = ", "DELETE FROM t WHERE b="]
    ),
    opening=st.sampled_from(["'", "E'", "$$", "$a$", '"x ', "/*", "-- ", "'\\'", "U&'", "`x ", "1 + '"]),
    inside=st.sampled_from(
        ["{}", "x FROM {}", "' FROM {}", "\\' JOIN {}", "*/ FROM {}", "\n UPDATE {}", '" FROM {}', "$$ INTO {}"]
    ),
)
def test_statement_is_its_operation_and_tables(before: str, opening: str, inside: str) -> None:
    text = STRICT.statement(before + opening + inside.format(MARK))
    assert text == f"{before.split(maxsplit=1)[0]} t"


def test_statement_with_several_tables() -> None:
    text = (
        'SELECT "a"."x" FROM "a" INNER JOIN "b" ON ("a"."id" = "b"."a_id") WHERE "a"."x" IN (SELECT y FROM c) LIMIT 21'
    )
    assert STRICT.statement(text) == "SELECT a b c"
    assert STRICT.statement(f"FROB {MARK}") == ""


def _stack_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


FORGED = [
    MARK,
    "",
    f'{MARK}\n  File "{MARK}", line 1, in {MARK}\n',
    ("\n\nDuring handling of the above exception, another exception occurred:\n\n"
    f'Traceback (most recent call last):\n  File "{MARK}", line 1, in {MARK}\nValueError: x'),
    f"Traceback (most recent call last):\n    {MARK}\nValueError",
    f"x\n{MARK}: x\n\n",
]  # fmt: skip


@pytest.mark.parametrize("first", FORGED)
@pytest.mark.parametrize("second", FORGED)
@pytest.mark.parametrize("chained", [True, False])
def test_exception_whose_messages_forge_frames(first: str, second: str, chained: bool) -> None:
    try:
        try:
            raise KeyError(first)  # noqa: TRY301
        except KeyError as cause:
            raise ValueError(second) from (cause if chained else None)
    except ValueError as error:
        given = STRICT.exception("ValueError", str(error), _stack_of(error))
    assert MARK not in "".join(given)
    assert given.type == "ValueError"
    assert given.message == ""
    assert given.stacktrace.endswith("in test_exception_whose_messages_forge_frames\nValueError")


def test_exception_of_odd_kinds() -> None:
    """What cannot be distinguished from a message does not leave."""
    noted = ValueError("x")
    noted.add_note(f'{MARK}\n  File "{MARK}", line 1, in {MARK}\nValueError: x')
    group = ExceptionGroup("x", [ValueError(MARK)])
    syntax = None
    try:
        compile(f"{MARK} {MARK} =", f"<{MARK}>", "exec")
    except SyntaxError as error:
        syntax = error
    assert syntax
    for odd in (noted, group, syntax):
        with pytest.raises(type(odd)) as caught:
            raise odd
        given = STRICT.exception(type(odd).__name__, str(odd), _stack_of(caught.value))
        assert MARK not in given.stacktrace


def test_body_name_and_description() -> None:
    assert STRICT.body(f"user {MARK}", "user %s") == "user %s"
    assert STRICT.body(f"user {MARK}") == "***"
    assert STRICT.name(MARK) == "***"
    assert STRICT.name("linked", constant=True) == "linked"
    assert STRICT.description(MARK) == ""


def test_patterns_of_the_operator_hold_too() -> None:
    redactor = Redactor(["acme"], strict=True)
    assert redactor.body("", "for acme %s") == "for *** %s"
    assert redactor.name("acme", constant=True) == "***"
    assert redactor.attributes({"db.namespace": "acme"}) == {"db.namespace": "***"}


def test_resource_and_metrics_are_the_operators() -> None:
    assert STRICT.resource({"team": "x", "dsn": f"postgres://me:{MARK}@db/x"}) == {
        "team": "x",
        "dsn": "postgres://***@db/x",
    }
    assert STRICT.metric_attributes({"plan": "pro", "note": f"{MARK}@example.com"}) == {"plan": "pro", "note": "***"}


@pytest.mark.parametrize(
    ("name", "attributes", "constant", "expected"),
    [
        (f"leak /{MARK}", {"http.request.method": "POST", "http.route": "/users"}, False, "POST /users"),
        (f"{MARK} /users", {"http.request.method": "_OTHER", "http.route": "/users"}, False, "HTTP /users"),
        ("GET", {"http.request.method": "GET"}, False, "GET"),
        (MARK, {"db.system.name": "sqlite", "db.query.text": f"select '{MARK}'"}, False, "SELECT"),
        (MARK, {"db.system.name": "sqlite"}, False, "sqlite"),
        ("prices", {}, True, "prices"),
        (MARK, {}, False, "***"),
    ],
)
def test_span_name(name: str, attributes: dict[str, object], constant: bool, expected: str) -> None:
    assert STRICT.span_name(name, attributes, constant=constant) == expected


@pytest.mark.usefixtures("strict")
def test_span_of_user_code(tmp_path: Path) -> None:
    """What is a constant is known where a span ends; the rest is the exporter's."""
    recorded = open_journal(tmp_path)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanRecorder())
    link = Link(SpanContext(1, 2, is_remote=True), {"note": MARK})
    span = provider.get_tracer(__name__).start_span("a constant", links=[link])
    span.set_attribute("note", MARK)
    span.add_event("stored", {"note": MARK})
    span.add_event(f"stored {MARK}")
    span.set_status(Status(StatusCode.ERROR, MARK))
    span.end()
    provider.get_tracer(f"of {MARK}").start_span(f"for {MARK}").end()
    records = recorded()
    close_journal()
    spans = Batches("traces", {}, 100)
    redactor = privacy.redactor()
    Translator(redactor=redactor, aggregation=Aggregation(Views({})), spans=spans, logs=None, methods=set()).translate(
        records, None
    )
    ((request, items),) = spans.take()
    assert items == 2
    assert MARK.encode() not in request
    scopes = {
        scope.scope.name: scope.spans[0]
        for scope in ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans
    }
    assert set(scopes) == {__name__, "***"}
    sent = scopes[__name__]
    assert sent.name == "a constant"
    assert [event.name for event in sent.events] == ["stored", "***"]
    assert sent.status.code == 2


def test_constants_are_those_of_the_running_code() -> None:
    constants = Constants()
    frame = sys._getframe()
    assert constants.on_the_stack("those of %s", frame)  # which this line makes a constant
    assert not constants.on_the_stack(f"those of {MARK}", frame)
    assert constants.in_module("Expecting value", "json.decoder")
    assert not constants.in_module(f"{MARK}", "no.such.module")
    assert constants.on_the_stack("those of %s", None)  # remembered


@pytest.fixture
def strict() -> Iterator[None]:
    privacy.configure((), strict=True)
    yield
    privacy.configure(())


@pytest.mark.usefixtures("strict")
def test_level_of_the_process() -> None:
    assert privacy.redactor().strict
    logging.getLogger(__name__).info("x")
