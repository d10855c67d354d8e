"""Log records: what fails while logging prints nothing of them, and each line is valid JSON."""

import json
import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from telemetry import log_failures, privacy
from telemetry.exporting.own_log import OwnLog
from telemetry.logs import (
    ConsoleHandler,
    JsonFormatter,
    OTLPHandler,
    ReadableFormatter,
    RedactingFormatter,
    translation_of,
)
from tests.support.service import ROOT

MARK = "".join(["zq1", *"canary"])  # no constant of this module


def record_with(message: object = "x", *args: object, **changed: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "tests", "msg": message, "args": args, "levelname": "INFO", **changed})


def logger_of(name: str) -> logging.Logger:
    """Return a logger of its own, without the handlers of others."""
    return logging.Logger(name)  # noqa: LOG001


# --- What fails -----------------------------------------------------------------------------------------------------

LOGS = """
import logging, logging.config, os, sys
import django
django.setup()
for number in range(200):
    logging.getLogger("x").warning("{mark} %s", "{mark}", extra={{"note": "{mark}"}})
    logging.getLogger("x").warning("%d", "{mark}")
sys.stderr.write("done\\n")
os._exit(0)
"""


@pytest.mark.parametrize("output", ["full disk", "pipe without a reader"])
def test_output_that_fails_prints_no_record(output: str) -> None:
    """One line on standard error, not a traceback with the raw message for each record."""
    reader, writer = os.pipe()
    os.close(reader)
    target = os.open("/dev/full", os.O_WRONLY) if output == "full disk" else writer
    try:
        ended = subprocess.run(
            [sys.executable, "-c", LOGS.format(mark=MARK)],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "userapi.settings", "DJANGO_DEBUG": "false"},
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
        if target != writer:
            os.close(target)
    assert "done" in ended.stderr
    assert MARK not in ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if line.startswith("telemetry: log records")]
    assert ("OSError" if output == "full disk" else "BrokenPipeError") in line


def test_logger_without_a_handler_prints_no_secret() -> None:
    """`logging` prints warnings raw where no handler is set up."""
    program = (
        "from telemetry.logs import guard_failures\nimport logging\nguard_failures()\n"
        f"logging.getLogger('x').warning('password=%s', '{MARK}')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stderr == "password=***\n"


@pytest.fixture
def first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_failures._Failures, "count", 0)
    monkeypatch.setattr(log_failures._Failures, "next_report", 0.0)


@pytest.mark.usefixtures("first_failure")
def test_handler_that_fails_is_reported_once(capfd: pytest.CaptureFixture[str]) -> None:
    class Refusing:
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(record.getMessage())

    OTLPHandler.connect(Refusing())
    try:
        for _ in range(5):
            OTLPHandler().handle(record_with(MARK))
    finally:
        OTLPHandler.connect(None)
    assert capfd.readouterr().err == "telemetry: log records cannot be written (RuntimeError), 1 so far\n"


@pytest.mark.usefixtures("first_failure")
def test_failure_while_another_one_is_counted_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a signal handler that logs."""
    left = [log_failures.report]

    def interrupted() -> float:
        while left:
            left.pop()()
        return monotonic()

    monkeypatch.setattr(log_failures, "monotonic", interrupted)
    reporting = Thread(target=log_failures.report, daemon=True)
    reporting.start()
    reporting.join(30)
    assert not reporting.is_alive()
    assert log_failures._Failures.count == 2


@pytest.mark.usefixtures("first_failure")
def test_formatter_that_fails_prints_no_record(capfd: pytest.CaptureFixture[str]) -> None:
    class Failing(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise ValueError(record.getMessage())

    handler = ConsoleHandler()
    handler.setFormatter(Failing())
    handler.handle(record_with(MARK))
    printed = capfd.readouterr().err
    assert MARK not in printed
    assert "ValueError" in printed


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError(MARK)

    __repr__ = __str__


@pytest.mark.parametrize(
    "record",
    [
        record_with("%s", Hostile()),
        record_with(Hostile()),
        record_with("%d", MARK),
        record_with(10**5000),
        record_with("x", note="\ud800"),
        record_with("x", name=None),
        record_with("\ud800", name="\ud800"),
    ],
)
def test_record_of_any_kind_becomes_a_line(record: logging.LogRecord) -> None:
    line = JsonFormatter().format(record)
    line.encode()
    assert MARK not in line
    assert json.loads(line)["body"]


def test_record_with_names_that_are_no_texts() -> None:
    record = record_with()
    odd: Any = {1: "x", ("a",): "y"}
    record.__dict__.update(odd)
    assert json.loads(JsonFormatter().format(record))["attributes"] == {"1": "x", "('a',)": "y"}


# --- Values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, str(2**63)),
        pytest.param(10**5000, "(an integer of 16610 bits)", id="huge"),
        (1.5, 1.5),
        (True, True),
    ],
)
def test_number(value: float, expected: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    line = JsonFormatter().format(record_with(size=value))
    assert json.loads(line, parse_constant=refuse)["attributes"] == {"size": expected}


class Atoms(dict[str, object]):
    """As gunicorn's, which knows more names than it has."""

    def __missing__(self, name: str) -> str:
        return "-"


def test_named_argument_that_is_a_secret_leaves_no_log() -> None:
    arguments = Atoms({"name": "Ada", "password": "two words", "token": ["a"], "token_count": 7})
    template = "%(name)s %(password)s %(token)s %(token_count)d %(more)s"
    record = logging.LogRecord("shop", 20, "", 1, template, (arguments,), None)
    assert translation_of(record).body == "Ada *** *** 7 -"
    assert record.args == arguments


def test_named_argument_that_is_a_secret_may_be_a_number() -> None:
    arguments = {"pin": 4711, "password": 2.5, "count": 7}
    for template, body in (
        ("%(pin)d of %(count)03d", "*** of 007"),
        ("%(password)-8.2f%(pin)s 100%% %%(pin)d", "****** 100% %(pin)d"),
        ("%(pin)d of %(count)q", "%(pin)d of %(count)q (its arguments do not fit)"),
    ):
        record = logging.LogRecord("shop", 20, "", 1, template, (arguments,), None)
        assert translation_of(record).body == body, template
        assert record.msg == template


def test_stack_info_is_kept() -> None:
    records: list[logging.LogRecord] = []
    logger = logger_of("tests")

    class Appending(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Appending()
    logger.addHandler(handler)
    logger.info("where", stack_info=True)
    stack = translation_of(records[0]).attributes["code.stacktrace"]
    assert stack.startswith("Stack (most recent call last):")
    assert "test_stack_info_is_kept" in stack
    assert ReadableFormatter().format(records[0]).endswith(stack)


def test_database_error_has_its_code() -> None:
    class UniqueViolation(Exception):  # noqa: N818
        sqlstate = "23505"

    try:
        try:
            raise UniqueViolation(f"Key (email)=({MARK}) already exists.")  # noqa: TRY301
        except UniqueViolation as cause:
            raise ValueError("x") from cause
    except ValueError:
        attributes = translation_of(record_with(exc_info=sys.exc_info())).attributes
    assert attributes["db.response.status_code"] == "23505"
    assert MARK not in str(attributes)


def test_logger_named_by_data() -> None:
    record = record_with(name=f"tenant.{MARK}@example.com")
    assert translation_of(record).logger == "***"
    assert MARK not in JsonFormatter().format(record) + ReadableFormatter().format(record)


# --- The strict level -----------------------------------------------------------------------------------------------


@pytest.fixture
def strict() -> Iterator[None]:
    privacy.configure((), strict=True)
    yield
    privacy.configure(())


class Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(JsonFormatter().format(record)))


MESSAGE = "a constant of the module %s"


@pytest.mark.usefixtures("strict")
def test_strict_body_is_the_template() -> None:
    handler, logger = Keeping(), logger_of(__name__)
    logger.addHandler(handler)
    logger.warning("user %s is gone", MARK)
    logger.warning(MESSAGE, MARK)
    logger.warning(f"user {MARK}%s", "x")  # noqa: G004
    logger.warning("user " + MARK)  # noqa: G003
    logger.warning("an extra", extra={"note": MARK, "user": MARK, "http.response.status_code": 503, "size": 17})
    assert [line["body"] for line in handler.lines] == ["user %s is gone", MESSAGE, "***", "***", "an extra"]
    assert handler.lines[4]["attributes"] == {"http.response.status_code": 503}
    assert {line["logger"] for line in handler.lines} == {__name__}


@pytest.mark.usefixtures("strict")
def test_strict_name_of_a_logger() -> None:
    handler = Keeping()
    for name in ("a.constant", f"{__name__}.{MARK}", MARK, f"django.{MARK}"):
        logger = logger_of(name)
        logger.addHandler(handler)
        logger.info("x")
    names = [line["logger"] for line in handler.lines]
    assert names == ["a.constant", f"{__name__}.***", "***", "django.***"]


@pytest.mark.usefixtures("strict")
def test_strict_exception_is_its_type_and_frames() -> None:
    handler, logger = Keeping(), logger_of(__name__)
    logger.addHandler(handler)
    forged = (
        f"{MARK}\n\nDuring handling of the above exception, another exception occurred:\n\n"
        f'Traceback (most recent call last):\n  File "{MARK}", line 1, in {MARK}\n{MARK}: {MARK}\n'
    )
    try:
        try:
            raise KeyError(forged)  # noqa: TRY301
        except KeyError:
            raise ValueError(forged)  # noqa: B904
    except ValueError:
        logger.exception("failed for %s", MARK, stack_info=True)
    [line] = handler.lines
    assert MARK not in json.dumps(line)
    assert line["attributes"]["exception.type"] == "ValueError"
    stack = line["attributes"]["exception.stacktrace"]
    assert f'File "{Path(__file__)}", line' in stack
    assert stack.endswith("in test_strict_exception_is_its_type_and_frames\nValueError")
    assert "in test_strict_exception_is_its_type_and_frames" in line["attributes"]["code.stacktrace"]


@pytest.mark.usefixtures("strict")
def test_strict_stack_of_a_made_record_does_not_leave() -> None:
    """A record that came from elsewhere has texts alone."""
    record = record_with(stack_info=f'Stack (most recent call last):\n  File "{MARK}", line 1, in {MARK}\n')
    record.__dict__["exception.stacktrace"] = f'Traceback (most recent call last):\n  File "{MARK}", line 1, in f\nX'
    assert translation_of(record).attributes == {}


@pytest.mark.usefixtures("strict")
def test_strict_record_of_gunicorn() -> None:
    formatter = RedactingFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    try:
        raise ValueError(MARK)  # noqa: TRY301
    except ValueError:
        record = record_with("Error handling request %s", f"/x?{MARK}", exc_info=sys.exc_info())
    text = formatter.format(record)
    assert MARK not in text
    assert text.startswith("[INFO] Error handling request %s\nTraceback")


@pytest.mark.usefixtures("strict")
def test_strict_record_in_another_format() -> None:
    names = "levelname name threadName taskName processName pathname filename module funcName message user"
    record = record_with(
        "hello",
        levelno=30,
        user=MARK,
        status=503,
        price=Decimal("1.5"),
        **dict.fromkeys(("levelname", "threadName", "taskName", "processName"), MARK),
        **dict.fromkeys(("pathname", "filename", "module", "funcName"), MARK),
    )
    text = RedactingFormatter(logging.Formatter(" ".join(f"%({name})s" for name in names.split()))).format(record)
    assert text == f"WARNING tests{' ***' * 7} hello ***"
    format_of_numbers = "%(asctime)s %(levelno)d %(status)03d %(price).2f"
    assert RedactingFormatter(logging.Formatter(format_of_numbers)).format(record).endswith(" 30 000 0.00")


@pytest.mark.usefixtures("strict")
def test_strict_level_is_a_registered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(logging)["_nameToLevel"], "NOTICE", 25)
    levels = [("NOTICE", 25), ("CRITICAL", 50), (MARK, 40), (MARK, 17)]
    lines = [JsonFormatter().format(record_with(levelname=name, levelno=number)) for name, number in levels]
    assert [json.loads(line)["severity"] for line in lines] == ["NOTICE", "FATAL", "ERROR", "Level 17"]


@pytest.mark.usefixtures("strict")
def test_strict_record_of_the_exporter() -> None:
    """Its own log takes names and templates from the code, too."""
    records: deque[tuple[Any, ...]] = deque()
    logger = logger_of(f"{__name__}.{MARK}")
    logger.addHandler(OwnLog(records))
    logger.warning("a batch of %s", MARK)
    logger.warning(f"a batch {MARK}")  # noqa: G004
    assert [(record[1], record[6]) for record in records] == [
        (f"{__name__}.***", "a batch of %s"),
        (f"{__name__}.***", None),
    ]
