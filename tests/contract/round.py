"""One scripted round of requests against a real service in one mode, and everything that came of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.points import Point, Series
from telemetry.tools.console.storage.records import LogRecord, Span
from tests.support.greeter import Greeter, deliver
from tests.support.routes import Route
from tests.support.service import Service, wait_until

MODES = ("collector", "direct")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tests.contract.settings",
    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=contract",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
    "TELEMETRY_INSTRUMENT": "requests",
}
SERVICE = "user-api"
# The greeter answers twice; the worker processes a task with a call and a query.
SPANS_OF_HOP, RECORDS_OF_HOP = 2 + 3, 2 + 1
_USER = {"name": "Ada Contract", "email": "ada@contract.example"}


@dataclass(frozen=True)
class Step:
    """One request of the round: what it represents, and what is sent. `{user}` is the path of the created record."""

    title: str
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


STEPS = (
    Step("create", "POST", "/users", _USER),
    Step("create with invalid values", "POST", "/users", {"name": "", "email": "nobody"}),
    Step("create a duplicate", "POST", "/users", _USER),
    Step("list", "GET", "/users"),
    Step("search", "GET", "/users?search=ada"),
    Step("read", "GET", "{user}"),
    Step("greet", "GET", "{user}/greeting"),
    Step("queue a greeting", "POST", "{user}/greeting"),
    Step("read a missing one", "GET", "/users/00000000-0000-0000-0000-000000000000"),
    Step("update", "PUT", "{user}", {**_USER, "name": "Ada Changed"}),
    Step("delete", "DELETE", "{user}"),
    Step("unhandled exception", "GET", "/contract/error"),
    Step("handled 503", "GET", "/contract/unavailable"),
    Step("slow", "GET", "/contract/slow"),
    Step("admin page", "GET", "/admin/login/"),
    Step("health check", "GET", "/livez"),
    Step("unknown route", "GET", "/nowhere/at/all"),
    Step("unknown method", "BREW", "/users"),
    Step("bad Host header", "GET", "/users", headers={"Host": "elsewhere.example"}),
    # The last one: once its span and its access record have arrived, so have all others.
    Step("list when all is deleted", "GET", "/users"),
)


@dataclass(frozen=True)
class Round:
    """What one mode made of the round. `scraped` is empty where the mode answers no scrape."""

    mode: str
    statuses: dict[str, int]
    spans: list[Span]
    records: list[LogRecord]
    otlp: list[tuple[Series, Point]]
    scraped: list[Metric]

    def step_of(self, trace_id: str) -> str:
        """Return the title of the step that a trace id belongs to, or an empty text."""
        number = int(trace_id or "0", 16) - _FIRST_TRACE
        return STEPS[number].title if 0 <= number < len(STEPS) else ""


_FIRST_TRACE = 0xC0FFEE << 96


def traceparent(number: int) -> str:
    """Return a W3C header that gives the step with this number a trace id of its own."""
    return f"00-{_FIRST_TRACE + number:032x}-00000000000000c1-01"


def run(mode: str, folder: Path, database: str) -> Round:
    """Send the round to a service of one worker in `mode`; return once all of it has arrived.

    The greeter and the worker of the queue are in collector mode in each round.
    """
    with Console(grpc_port=0, http_port=0, api_port=0) as console, ExitStack() as stack:
        environment = {**ENVIRONMENT, **Route("collector", "grpc").env(console)}
        greeter = stack.enter_context(Greeter(folder, environment))
        environment |= {"USERAPI_OPEN_ACCESS": "true", "USERAPI_GREETER_URL": greeter.url}
        own = environment | Route(mode, "grpc").env(console)
        service = stack.enter_context(Service(folder, database, own, "--workers=1"))
        statuses = dict(send(service, lambda: deliver(folder, database, environment).check_returncode()))
        wait_until(lambda: _everything_arrived(console), 60, "the last span and record")
        scraped: list[Metric] = []
        if mode == "direct":
            scraped = wait_until(lambda: _complete(_scrape(service)), 60, "telemetry's own metrics")
        else:
            begin = time_ns()
            wait_until(lambda: _exported_since(console, begin), 60, "telemetry's own metrics")
        spans, records, otlp = console.store.spans(), console.store.logs(), list(_otlp(console))
    return Round(mode, statuses, spans, records[::-1], otlp, scraped)


def _everything_arrived(console: Console) -> bool:
    last = f"{_FIRST_TRACE + len(STEPS) - 1:032x}"
    of_hop = [span for span in console.store.spans() if span.resource.service != SERVICE]
    records_of_hop = [
        record for record in console.store.logs() if record.resource.service != SERVICE and record.trace_id
    ]
    return (
        bool(console.store.logs(trace_id=last))
        and any(span.kind == "server" for span in console.store.trace(last))
        and (len(of_hop), len(records_of_hop)) == (SPANS_OF_HOP, RECORDS_OF_HOP)
    )


def _exported_since(console: Console, begin: int) -> bool:
    """Return whether each exporter's metrics have been pushed again since `begin`, those of the metrics' own too."""
    series = console.store.series("otel.sdk.exporter.operation.duration")
    newest = [points[-1].time_ns for found, points in series if found.service == SERVICE]
    return len(newest) == 3 and min(newest) > begin


def _complete(families: list[Metric]) -> list[Metric]:
    """Return a scrape that covers both exporters, else nothing."""
    names = {family.name for family in families}
    return families if {f"otel_sdk_exporter_{signal}_exported" for signal in ("span", "log")} <= names else []


def send(service: Service, deliver: Callable[[], None]) -> Iterator[tuple[str, int]]:
    """Send the round, step by step; yield each title with its status. `deliver` has a worker deliver what is queued."""
    user = ""
    for number, step in enumerate(STEPS):
        headers = {"User-Agent": "contract", "traceparent": traceparent(number), **step.headers}
        status, answer, body = service.request(step.method, step.path.format(user=user), step.body, headers)
        if step.title == "create":
            user = f"/users/{json.loads(body)['id']}"
            assert answer["location"].endswith(user)
        elif step.title == "queue a greeting":
            deliver()
        yield step.title, status


def _otlp(console: Console) -> Iterator[tuple[Series, Point]]:
    for metric in console.store.metrics():
        for series, points in console.store.series(metric.first.name):
            if series.service == SERVICE:
                yield series, points[-1].decode()


def _scrape(service: Service) -> list[Metric]:
    status, _, body = service.get("/metrics", Accept=OPENMETRICS)
    assert status == 200
    parse: Any = text_string_to_metric_families
    return list(parse(body.decode()))
