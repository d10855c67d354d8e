"""A trace goes on in another service that is called, and in a worker that takes a task from a queue."""

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import call_command

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import Span
from tests.signals.visit import Visit
from tests.support.greeter import Greeter, deliver
from tests.support.routes import LAZY, Route
from tests.support.service import Service, free_port
from userapi import __version__

Start = Callable[..., Service]
ABSENT = "/users/00000000-0000-0000-0000-000000000000"


class Hop(NamedTuple):
    """A service with a user that calls a greeter, and its database and environment for the worker."""

    service: Service
    user: str
    database: str
    env: dict[str, str]
    folder: Path

    def deliver(self) -> subprocess.CompletedProcess[str]:
        return deliver(self.folder, self.database, self.env)


@pytest.fixture
def env(console: Console) -> dict[str, str]:
    """The environment of the greeter and of the worker."""
    return {**Route("collector", "grpc").env(console), **LAZY, "TELEMETRY_INSTRUMENT": "requests"}


@pytest.fixture
def hop_to(start: Start, tmp_path: Path, migrated_sqlite: Path, env: dict[str, str]) -> Callable[[str, str], Hop]:
    """A function that starts a service in this mode, whose greeter is at this URL."""

    def hop_to(mode: str, greeter: str) -> Hop:
        database = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
        (tmp_path / "shared.sqlite3").write_bytes(migrated_sqlite.read_bytes())
        calls = {"TELEMETRY_INSTRUMENT": "requests", "USERAPI_GREETER_URL": greeter}
        service = start(mode=mode, DATABASE_URL=database, DJANGO_SETTINGS_MODULE="userapi.settings", **calls)
        _, headers, _ = service.request("POST", "/users", {"name": "Ada", "email": "ada@example.com"})
        return Hop(service, headers["location"].partition(str(service.port))[2], database, env | calls, tmp_path)

    return hop_to


def lineage(console: Console, last: Span) -> list[tuple[str, str, str]]:
    """Return service, kind and name of `last` and its ancestors, from the root on, which are all in one trace."""
    by_id = {span.span_id: span for span in console.store.spans()}
    found = [last]
    while found[0].parent_span_id:
        found.insert(0, by_id[found[0].parent_span_id])
    assert len({span.trace_id for span in found}) == 1
    return [(str(span.resource.attributes["service.name"]), span.kind, span.name) for span in found]


def test_trace_goes_on(
    hop_to: Callable[[str, str], Hop], console: Console, env: dict[str, str], tmp_path: Path
) -> None:
    """Its way is the same in collector mode."""
    with Greeter(tmp_path, env) as greeter:
        hop = hop_to("direct", greeter.url)
        status, _, body = hop.service.get(f"{hop.user}/greeting")
        assert (status, json.loads(body)["greeting"][-6:]) == (200, ", Ada!")
        assert hop.service.request("POST", f"{hop.user}/greeting")[0] == 202
        delivered = hop.deliver()
        assert delivered.returncode == 0, delivered.stderr
        hop.service.stop()
    # Each signal of the worker comes by a request of its own.
    console.store.wait_for(
        lambda store: (
            any(s.kind == "consumer" for s in store.spans())
            and any(each.body == "delivered a greeting" for each in store.logs())
        ),
        timeout=30,
    )
    called = [lineage(console, span) for span in console.store.spans() if span.name == "GET /greeting"]
    request = [("user-api", "server", "GET /users/{id}/greeting"), ("user-api", "client", "GET")]
    task = [
        ("user-api", "server", "POST /users/{id}/greeting"),
        ("user-api", "producer", "send greetings"),
        ("user-api-worker", "consumer", "process greetings"),
        ("user-api-worker", "client", "GET"),
    ]
    answer = ("greeter", "server", "GET /greeting")
    assert sorted(called, key=len) == [[*request, answer], [*task, answer]]
    edges = {(calls.caller, calls.callee) for calls in console.store.calls(3600)}
    assert edges == {("user-api", "greeter"), ("user-api", "user-api-worker"), ("user-api-worker", "greeter")}
    assert {span.resource.attributes["service.version"] for span in console.store.spans()} == {__version__}
    (record,) = (each for each in console.store.logs() if each.body == "delivered a greeting")
    (consumer,) = (span for span in console.store.spans() if span.kind == "consumer")
    assert (record.trace_id, record.span_id) == (consumer.trace_id, consumer.span_id)
    # Looking for work is in no trace, and neither the task's row nor the greeter knows a name.
    assert not [span for span in console.store.spans() if span.kind == "client" and not span.parent_span_id]
    with closing(sqlite3.connect(hop.folder / "shared.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM greetings_task").fetchone() == (0,)


def test_greeter_that_is_down(hop_to: Callable[[str, str], Hop]) -> None:
    hop = hop_to("collector", f"http://127.0.0.1:{free_port()}")
    status, headers, body = hop.service.get(f"{hop.user}/greeting")
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert json.loads(body)["detail"] == "The greeter does not answer; try again."
    assert hop.service.request("POST", f"{hop.user}/greeting")[0] == 202
    delivered = hop.deliver()
    (line,) = (json.loads(line) for line in delivered.stdout.splitlines() if "not delivered" in line)
    assert (delivered.returncode, line["severity"]) == (0, "ERROR")
    assert line["attributes"]["exception.message"] == "the greeter gave no greeting: ConnectionError"
    for method in ("GET", "POST"):
        assert hop.service.request(method, f"{ABSENT}/greeting")[0] == 404
    assert hop.service.request("POST", f"{hop.user}/greeting", {"name": "x"})[0] == 400
    operations = json.loads(hop.service.get("/schema", Accept="application/json")[2])["paths"]["/users/{id}/greeting"]
    assert {"get", "post"} <= operations.keys()


def test_no_greeter_no_greetings(visit: Callable[[str], Visit]) -> None:
    status, schema = visit("one thread").parts["greetings"].result
    assert status == 404
    assert "/users/{id}" in schema
    assert "greeting" not in schema
    with pytest.raises(SystemExit) as ended:
        call_command("deliver_greetings", "--once")
    assert ended.value.code == "deliver_greetings: USERAPI_GREETER_URL is not set; expected the greeter's URL"
