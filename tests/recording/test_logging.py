"""The log handlers of telemetry beside those of the project."""

import logging
import subprocess
import sys
from collections.abc import Iterable, Iterator

import pytest
from django.test import RequestFactory
from django.urls import ResolverMatch

from telemetry.logs import OTLPHandler
from telemetry.root_handler import RootHandler
from tests.support.service import ROOT


class Received:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def received() -> Iterator[Received]:
    """What the handlers pass on."""
    found = Received()
    OTLPHandler.connect(found)
    yield found
    OTLPHandler.connect(None)


def test_handler_keeps_what_its_filters_let_pass(received: Received) -> None:
    """Its own lock is none, which `Handler.handle` does not allow from Python 3.13 on."""
    handler = OTLPHandler()
    assert handler.lock is None
    assert OTLPHandler.handle is not logging.Handler.handle
    handler.addFilter(lambda record: record.levelno > logging.INFO)
    for level, text in ((logging.WARNING, "kept"), (logging.INFO, "not kept")):
        handler.handle(logging.makeLogRecord({"name": "shop", "levelno": level, "msg": text}))
    assert received.messages == ["kept"]


def test_record_of_a_request_without_a_route_is_kept(received: Received) -> None:
    request = RequestFactory().get("/secret")
    request.resolver_match = ResolverMatch(test_record_of_a_request_without_a_route_is_kept, (), {})
    record = {"name": "shop", "levelno": logging.INFO, "msg": "Not Found: %s", "args": ("/secret",), "request": request}
    RootHandler().handle(logging.makeLogRecord(record))
    assert received.messages == ["Not Found: unmatched"]


BEFORE = """
import logging, logging.config
from django.conf import settings
settings.configure()
from telemetry.logs import OTLPHandler
from telemetry.root_handler import attach_to_root, let_pass, stay_attached
class Received:
    def emit(self, record): print("received:", record.getMessage(), flush=True)
OTLPHandler.connect(Received())
let_pass("shop.access")
logging.config.dictConfig({"version": 1})  # as in wsgi.py, where the application is built; it disables that logger
attach_to_root()
stay_attached()
stay_attached()  # once is enough
"""


# As in the settings, which are imported first. `makeLogRecord` calls it, too, without a name.
FACTORY = """
import logging
plain = logging.getLogRecordFactory()
def component_of(name, *rest, **options):
    record = plain(name, *rest, **options)
    record.component = name.split(".")[0]
    return record
logging.setLogRecordFactory(component_of)
"""


FORK = "the next project"


def output_of(code: str, before: str = "") -> list[str]:
    """Return the lines that a project with this code prints: its logging is configured after telemetry's start."""
    command = [sys.executable, "-c", before + BEFORE + code]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    return ended.stdout.decode().splitlines()


def outputs_of(codes: Iterable[str]) -> list[list[str]]:
    """Return the same of several projects, each in a fork of one process."""
    lines = output_of(f"""
import os, sys
for code in {list(codes)}:
    print("{FORK}", flush=True)
    if os.fork() == 0:
        exec(code)
        sys.exit()
    assert os.wait()[1] == 0, code
""")
    return [output.splitlines() for output in "\n".join(lines).split(FORK)[1:]]


def test_basic_configuration_after_the_start_is_the_projects() -> None:
    """As in a module that the first request imports: the console output is that without telemetry."""
    lines = output_of("""
logging.basicConfig(level=logging.INFO, format="console: %(message)s")
logging.getLogger("shop").info("an order")
logging.basicConfig(level=logging.ERROR)  # does nothing, as without telemetry
logging.getLogger("shop").info("another")
""")
    assert sorted(lines) == ["console: an order", "console: another", "received: an order", "received: another"]


def test_factory_of_the_project_adds_attributes() -> None:
    lines = output_of(
        """
from django.http import HttpRequest
from telemetry import privacy
from telemetry.logs import RedactingFormatter, attributes_of
class Attributes:
    def emit(self, record): print(record.getMessage(), attributes_of(record), flush=True)
OTLPHandler.connect(Attributes())
logging.getLogger("shop.orders").error("an order", extra={"number": 5})
request = HttpRequest()
request.path = "/nowhere"
logging.getLogger("django.request").error("Not Found: %s", request.path, extra={"request": request})
privacy.configure((), strict=True)
logging.lastResort.setFormatter(RedactingFormatter(None))
logging.getLogger("shop.orders").error("an order")
""",
        before=FACTORY,
    )
    assert lines == [
        "an order",
        "an order {'component': 'shop', 'number': 5}",
        "Not Found: /nowhere",
        "Not Found: unmatched {'component': 'django'}",
        "***",  # of code that is not a module's
        "an order {'component': 'shop'}",
    ]


BEHIND = {
    "buffer": "MemoryHandler(1, target=OTLPHandler())",
    "queue": "queue_handler(OTLPHandler())",
    "buffer behind a queue": "queue_handler(MemoryHandler(1, target=OTLPHandler()))",
}


def test_handler_behind_another_one_sends_each_record_once() -> None:
    outputs = outputs_of(
        f"""
from logging.handlers import MemoryHandler, QueueHandler, QueueListener
from queue import Queue
def queue_handler(handler):
    made = QueueHandler(Queue())
    made.listener = QueueListener(made.queue, handler)  # as `dictConfig` does from Python 3.12 on
    made.listener.start()
    return made
handler = {handler}
logging.basicConfig(handlers=[handler], format="%(message)s")
logging.getLogger("shop").warning("an order")
if isinstance(handler, QueueHandler):
    handler.listener.stop()
"""
        for handler in BEHIND.values()
    )
    for behind, lines in zip(BEHIND, outputs, strict=True):
        assert [line for line in lines if line] == ["received: an order"], behind


LATER = (
    "pass  # only before the start",
    "logging.basicConfig(force=True)",
    'logging.config.dictConfig({"version": 1, "root": {"handlers": []}})',
    'logging.config.dictConfig({"version": 1, "root": {"level": "WARNING"}})',
    'logging.config.dictConfig({"version": 1, "loggers": {"shop": {"level": "WARNING"}}})',
)


def test_later_configuration_does_not_end_the_export() -> None:
    outputs = outputs_of(
        f"""
logging.root.setLevel(logging.INFO)
let_pass("api.access")  # the root logger's INFO records are sent, and so are its own
{configure}
logging.getLogger("shop.orders").error("an order")
logging.getLogger("shop.access").info("GET / 200")
logging.getLogger("api.access").info("GET / 304")
"""
        for configure in LATER
    )
    for configure, lines in zip(LATER, outputs, strict=True):
        received = [line for line in lines if "received" in line]
        assert received == ["received: an order", "received: GET / 200", "received: GET / 304"], configure
