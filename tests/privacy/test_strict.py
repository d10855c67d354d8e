"""The strict level: what leaves comes from the code, whatever the data is. No rule is involved."""

import contextlib
import importlib.util
import logging
import runpy
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
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
from telemetry.privacy import STACK_BYTES, Constants, Redactor
from telemetry.recording.spans import RequestSpan, SpanRecorder
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
        ({"db.system.name": "x y", "server.address": f"{MARK}.example.com"}, {}),
        (
            {"db.system.name": "sqlite", "http.request.method": "GET", "server.address": f"{MARK}.example.com"},
            {"db.system.name": "sqlite", "http.request.method": "GET"},
        ),
        ({"telemetry.traces": "grpc http://127.0.0.1:4317", "telemetry.metrics": "none"}, None),
        ({"telemetry.traces": "grpc http://[::1]:4317", "telemetry.logs": "grpc collector:4317"}, None),
        ({"telemetry.traces": f"otlp {MARK}", "telemetry.logs": f"grpc http://me:{MARK}@h"}, {}),
        ({"telemetry.traces": f"grpc me:{MARK}@h", "telemetry.logs": f"grpc h?{MARK}"}, {}),
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


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ('INSERT INTO "t" ("a") VALUES (%s) ON CONFLICT("id") DO UPDATE SET "a" = EXCLUDED."a"', "INSERT t"),
        ('SELECT "t"."a" FROM "t" WHERE "t"."id" = %s FOR UPDATE OF "t" SKIP LOCKED', "SELECT t"),
        ('SELECT "a" FROM "t" FOR NO KEY UPDATE SKIP LOCKED', "SELECT t"),
        ('SELECT "a" FROM "t" WHERE "x" IS DISTINCT FROM NULL', "SELECT t"),
        ('SELECT EXTRACT(YEAR FROM "t"."created"), TRIM(a FROM b) FROM "t"', "SELECT t"),
        ('SELECT (SELECT U0."id" FROM "u" U0) FROM "t"', "SELECT u t"),
        ("WITH d AS (DELETE FROM a RETURNING b) SELECT * FROM d", "WITH a d"),
        ('CREATE TABLE IF NOT EXISTS "x" ("a" integer)', "CREATE x"),
        ("ALTER TABLE IF EXISTS x ADD y int", "ALTER x"),
        ("DROP TABLE x, y", "DROP x y"),
        ("UPDATE OR REPLACE x SET a = b, c = d", "UPDATE x"),
        ('SELECT a FROM public.users, "other"."t" AS "u", v w, x', "SELECT users t v x"),
        ("SELECT a FROM t, LATERAL (SELECT b FROM u) v ORDER BY c, d", "SELECT t u"),
        ("COPY t (a) FROM STDIN", "COPY"),
    ],
)
def test_tables_of_a_statement(statement: str, expected: str) -> None:
    assert STRICT.statement(statement) == expected


def test_statement_with_several_tables() -> None:
    text = (
        'SELECT "a"."x" FROM "a" INNER JOIN "b" ON ("a"."id" = "b"."a_id") WHERE "a"."x" IN (SELECT y FROM c) LIMIT 21'
    )
    assert STRICT.statement(text) == "SELECT a b c"
    assert STRICT.statement(f"FROB {MARK}") == ""
    assert STRICT.statement(f"/* {MARK} */ SELECT 1") == "SELECT"


# What a message or a note may hold to look like Python's own lines.
_FRAME = f'  File "{MARK}", line 1, in {MARK}\n'
_HEADER = "Traceback (most recent call last):\n"
FORGED = [
    MARK,
    "",
    f"{MARK}\n{_FRAME}",
    f"\n\nDuring handling of the above exception, another exception occurred:\n\n{_HEADER}{_FRAME}ValueError: x",
    f"x\n\nDuring handling of the above exception, another exception occurred:\n\n{_HEADER}{_FRAME}Secret",
    f"\nThe above exception was the direct cause of the following exception:\n\n{_HEADER}{_FRAME}{MARK}",
    f"{_HEADER}    {MARK}\nValueError",
    f"x\n{MARK}: x\n\n",
]  # fmt: skip


class Changing(Exception):  # noqa: N818
    """Says something else each time."""

    said = 0

    def __str__(self) -> str:
        self.said += 1
        return FORGED[self.said % len(FORGED)]


def _stack_of(error: BaseException) -> str:
    """Return what leaves of the stack trace of `error`, raised here."""
    try:
        raise error  # noqa: TRY301
    except BaseException as caught:  # noqa: BLE001
        once = STRICT.attributes({"exception.stacktrace": STRICT.stack_of(caught)})
        return str(once["exception.stacktrace"])


@pytest.mark.parametrize("first", FORGED)
@pytest.mark.parametrize("second", FORGED)
@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("chained", [True, False])
def test_exception_whose_texts_forge_frames(first: str, second: str, noted: bool, chained: bool) -> None:
    error = ValueError(second)
    if noted:
        error.add_note(first)
    try:
        try:
            raise KeyError(first)  # noqa: TRY301
        except KeyError as cause:
            raise error from (cause if chained else None)
    except ValueError as caught:
        stack = _stack_of(caught)
    assert MARK not in stack
    assert ("KeyError" in stack) == chained
    assert stack.endswith("in test_exception_whose_texts_forge_frames\nValueError")


def _syntax_error() -> SyntaxError:
    with pytest.raises(SyntaxError) as caught:
        compile(f"{MARK} {MARK} =", f"<{MARK}>", "exec")
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        Changing(),
        ExceptionGroup(FORGED[3], [ValueError(FORGED[4]), ExceptionGroup(MARK, [KeyError(MARK)])]),
        UnicodeDecodeError("utf8", MARK.encode(), 0, 1, MARK),
        SystemExit(MARK),
        _syntax_error(),
        type(f"x {MARK}", (Exception,), {})(),
    ],
)
def test_exception_of_an_odd_kind(error: BaseException) -> None:
    assert MARK not in _stack_of(error)


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"__file__": f"<{MARK}>"},
        {"__file__": f"<{MARK}>", "__name__": "json"},
        {"__file__": f"<{MARK}>", "__name__": __name__, "__spec__": __spec__},
    ],
)
def test_exception_of_code_made_of_a_text(scope: dict[str, object]) -> None:
    exec(compile(f"def {MARK}():\n    raise KeyError", f"<{MARK}>", "exec"), scope)  # noqa: S102
    function: Any = scope[MARK]
    with pytest.raises(KeyError) as caught:
        function()
    stack = _stack_of(caught.value)
    assert MARK not in stack
    assert 'File "***", line 2, in ***' in stack


def test_exception_of_a_template() -> None:
    """Jinja2 takes the file's name from the loader, and the functions' names from the template."""
    text = f"{{% macro {MARK}() %}}{{{{ x.y.z }}}}{{% endmacro %}}{{{{ {MARK}() }}}}"
    loader = jinja2.FunctionLoader(lambda name: (text, f"/tenants/{MARK}/{name}", None))
    with pytest.raises(jinja2.UndefinedError) as caught:
        jinja2.Environment(loader=loader, autoescape=True).get_template("a.html").render()
    stack = _stack_of(caught.value)
    assert MARK not in stack
    assert "jinja2/environment.py" in stack


def test_exception_of_modules_of_each_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "of.zip", "w") as archive:
        archive.writestr("zipped_module.py", "def fail():\n    raise KeyError\n")
    monkeypatch.syspath_prepend(tmp_path / "of.zip")
    with pytest.raises(KeyError) as caught:
        importlib.import_module("zipped_module").fail()
    assert 'of.zip/zipped_module.py", line 2, in fail' in _stack_of(caught.value)
    with pytest.raises(ModuleNotFoundError) as missing:
        importlib.import_module("no.such.module")
    assert 'File "<frozen importlib._bootstrap>", line' in _stack_of(missing.value)


def test_exception_of_a_module_that_is_not_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "failing_module.py"
    file.write_text("def fail():\n    raise KeyError\n\nfail()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyError) as imported:
        importlib.import_module("failing_module")
    spec = importlib.util.spec_from_file_location("of_a_plugin", file)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(KeyError) as executed:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    for caught in (imported, executed):
        stack = _stack_of(caught.value)
        assert f'File "{file}", line 4, in <module>' in stack
        assert f'File "{file}", line 2, in fail' in stack
    with pytest.raises(KeyError) as run:
        runpy.run_path(str(file))
    assert str(file) not in _stack_of(run.value)


def test_exception_shows_what_it_came_from() -> None:
    error = ValueError("x")
    error.__cause__ = KeyError("y")
    error.__cause__.__context__ = error  # a cycle
    stack = _stack_of(ExceptionGroup("z", [error]))
    kinds = [line for line in stack.splitlines() if line.endswith(("Error", "Group"))]
    assert kinds == ["ExceptionGroup", "KeyError", "ValueError"]
    assert "direct cause" in stack
    assert "The above group has the following exception:" in stack
    error.__cause__ = None
    error.__context__, error.__suppress_context__ = KeyError(), True
    assert "KeyError" not in _stack_of(error)


def test_exception_is_bounded() -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise KeyError

    with pytest.raises(KeyError) as caught:
        deep(700)
    many: BaseException = caught.value
    for _ in range(1000):
        following = ValueError()
        following.__context__ = many
        many = following
    for error in (caught.value, many, ExceptionGroup("x", [ValueError() for _ in range(1000)])):
        assert len(_stack_of(error)) <= STACK_BYTES


@pytest.mark.parametrize("key", ["exception.stacktrace", "code.stacktrace"])
def test_stack_that_is_a_text_does_not_leave(key: str) -> None:
    stack = f"{_HEADER}{_FRAME}ValueError: x"
    for value in (stack, [stack], ((stack,),), stack.encode(), {"a": stack}):
        assert STRICT.attributes({key: value, "exception.message": "x"}) == {}


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
    span.add_event("exception", {"exception.stacktrace": f"{_HEADER}{_FRAME}ValueError", "exception.message": ""})
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
    assert [event.name for event in sent.events] == ["stored", "***", "exception"]
    assert not sent.events[2].attributes
    assert sent.status.code == 2


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("forged", FORGED)
def test_exception_of_a_span(tmp_path: Path, forged: str) -> None:
    """Its frames are those of the object, also where user code records it on a request's span."""
    recorded = open_journal(tmp_path)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanRecorder())
    own = RequestSpan("GET")
    error = ValueError(f"x{forged}")
    error.add_note(forged)
    with contextlib.suppress(ValueError), provider.get_tracer(__name__).start_as_current_span("a constant"):
        own.record_exception(error, {"exception.stacktrace": f"{_HEADER}{_FRAME}"})
        raise error
    ((*_, events, _, _),) = recorded()
    close_journal()
    assert own.touched is not None
    for (_, name, attributes, _), *others in (events, own.touched[3]):
        assert not others
        assert name == "exception"
        sent = STRICT.attributes(attributes)
        assert MARK not in str(sent)
        assert sent["exception.type"] == "ValueError"
    assert "in test_exception_of_a_span" in STRICT.attributes(events[0][2])["exception.stacktrace"]


def test_constants_are_those_of_the_running_code() -> None:
    constants = Constants()
    frame = sys._getframe()
    assert constants.on_the_stack("those of %s", frame)  # which this line makes a constant
    assert not constants.on_the_stack(f"those of {MARK}", frame)
    assert constants.in_module("Expecting value", "json.decoder")
    assert not constants.in_module(f"{MARK}", "no.such.module")
    assert constants.on_the_stack("those of %s", None)  # remembered


@pytest.mark.parametrize("scope", [{}, globals(), {"__name__": __name__, "__file__": __file__}])
def test_constants_of_code_made_of_a_text_are_not_known(scope: dict[str, object]) -> None:
    constants = Constants()
    values = {"found": constants.on_the_stack, "frame": sys._getframe}
    assert not eval(f"found('{MARK}', frame())", scope, values)  # noqa: S307
    assert not constants.on_the_stack(MARK, None)


@pytest.fixture
def strict() -> Iterator[None]:
    privacy.configure((), strict=True)
    yield
    privacy.configure(())


@pytest.mark.usefixtures("strict")
def test_level_of_the_process() -> None:
    assert privacy.redactor().strict
    logging.getLogger(__name__).info("x")
