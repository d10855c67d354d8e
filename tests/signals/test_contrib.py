"""TELEMETRY_INSTRUMENTATION: the same requests, recorded by telemetry itself and by contrib, and all that differs.

A difference that is not listed fails, and so does a listed one that is gone. docs/configuration.md lists them too.
"""

from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from telemetry import __version__
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import Span
from tests.signals.visit import logged
from tests.support.routes import LAZY, Route, scraped_requests
from tests.support.service import Service, wait_until

Start = Callable[..., Service]
Facts = dict[tuple[str, str], Any]

USER = "/users/00000000-0000-0000-0000-000000000000"
REQUESTS = ("/users", USER, "/touch", "/queries", "/nothing", "/faults/bug", "/faults/busy", "/faults/denied")
# The client's trace and span of each.
PARENTS = {path: (f"{number:032x}", f"{number:016x}") for number, path in enumerate(REQUESTS, 1)}
EXCLUDED = "/admin/login/"
# They differ from run to run.
_VOLATILE = {"client.port", "server.port", "exception.stacktrace"}

# The reasons, with upstream's issue or pull request (open-telemetry/opentelemetry-python-contrib) where there is one.
ROUTE = "the pattern of Django's resolver as it stands, without the slash that paths have: #1098, #2710"
UPDATED = "the route is in the name before the view runs, and user code has the last word"
ADDRESS = "the Host header, its port included, which the conventions have in server.port"
REFUSED = "an exception makes an error of what is answered with 4xx, which the conventions leave unset: #776"
DESCRIBED = "the exception is the description, too"
HIDDEN = "segments of a path are shown where the route has them; contrib's is a regular expression"
OUTSIDE = "Django logs it after contrib's middleware has ended the span: #821"
NO_HOST = "the host is refused while the span begins, which is lost: #1781"
OWNER = "who made the spans, and of which version"
WRAPPED = "contrib's span begins below Django's wrappers, ours above those of user code"

PATTERN = "^faults/(?P<kind>bug|suspicious|denied|missing)$"
STATUSES = {200: 3, 403: 1, 404: 2, 500: 1, 503: 1}
DIFFERENCES: dict[tuple[str, str], tuple[Any, Any, str]] = {
    ("/users", "name"): ("GET /users", "GET users", ROUTE),
    ("/users", "http.route"): ("/users", "users", ROUTE),
    (USER, "name"): ("GET /users/{id}", "GET users/<caseless_uuid:id>", ROUTE),
    (USER, "http.route"): ("/users/{id}", "users/<caseless_uuid:id>", ROUTE),
    ("/touch", "name"): ("GET /touch", "a name that the route replaces", UPDATED),
    ("/touch", "http.route"): ("/touch", "touch", ROUTE),
    ("/queries", "name"): ("GET /queries", "GET queries", ROUTE),
    ("/queries", "http.route"): ("/queries", "queries", ROUTE),
    ("/faults/bug", "name"): ("GET /faults/{kind}", f"GET {PATTERN}", ROUTE),
    ("/faults/bug", "http.route"): ("/faults/{kind}", PATTERN, ROUTE),
    ("/faults/bug", "url.path"): ("/faults/***", "/***/***", HIDDEN),
    ("/faults/bug", "status_message"): ("", "RuntimeError: a fault of the test", DESCRIBED),
    ("/faults/busy", "name"): ("GET /faults/busy", "GET faults/busy", ROUTE),
    ("/faults/busy", "http.route"): ("/faults/busy", "faults/busy", ROUTE),
    ("/faults/denied", "name"): ("GET /faults/{kind}", f"GET {PATTERN}", ROUTE),
    ("/faults/denied", "http.route"): ("/faults/{kind}", PATTERN, ROUTE),
    ("/faults/denied", "url.path"): ("/faults/***", "/***/***", HIDDEN),
    ("/faults/denied", "status"): ("unset", "error", REFUSED),
    ("/faults/denied", "status_message"): ("", "PermissionDenied: on purpose", REFUSED),
    ("/faults/denied", "events"): ([], ["exception"], REFUSED),
    ("a refused host", "spans"): (1, 0, NO_HOST),
    ("log records", "of 4xx and 5xx"): (6, 5, NO_HOST),
    ("log records", "of 4xx and 5xx in their trace"): (6, 2, OUTSIDE),
    ("metrics", "requests by status"): (
        STATUSES | {400: 1},
        STATUSES,
        NO_HOST,
    ),
    ("spans", "scopes"): (
        [("telemetry.django", __version__), ("telemetry.sqlite3", __version__)],
        [
            (f"opentelemetry.instrumentation.{each}", version(f"opentelemetry-instrumentation-{each}"))
            for each in ("django", "sqlite3")
        ],
        OWNER,
    ),
    ("queries", "user.wrapper"): (1, 0, WRAPPED),
    ("child", "user.wrapper"): (0, 1, WRAPPED),
    **{(path, "server.address"): ("127.0.0.1", "127.0.0.1:PORT", ADDRESS) for path in REQUESTS},
}


def run(start: Start, console: Console, instrumentation: str) -> Service:
    """Send each request once, and return the service, whose telemetry has arrived."""
    env = {**Route("collector", "grpc").env(console), **LAZY, "DJANGO_SETTINGS_MODULE": "tests.signals.settings"}
    env["OTEL_PYTHON_DJANGO_EXCLUDED_URLS"] = EXCLUDED
    service = start("--workers=1", **env, TELEMETRY_INSTRUMENTATION=instrumentation)
    for path, parent in PARENTS.items():
        service.get(path, traceparent="00-{}-{}-01".format(*parent))
    service.get(EXCLUDED)
    service.get("/users", Host="evil.example")
    service.get("/livez")
    service.stop()
    return service


def counts(console: Console, metric: str, attribute: str) -> dict[Any, int]:
    """Return how often a histogram's metric was measured, by one of its attributes."""
    found: Counter[Any] = Counter()
    for series, points in console.store.series(metric, points=1):
        found[series.attributes[attribute]] += points[0].decode().data["count"]
    return dict(found)


def facts(console: Console, service: Service) -> Facts:
    """Return everything that the two may differ in, by what it is of and what it is."""
    found: Facts = {}
    server = sorted((s for s in console.store.spans() if s.kind == "server"), key=lambda s: s.start_ns)
    for path, span in zip(REQUESTS, server, strict=False):
        found |= {(path, name): value for name, value in of_span(span, service.port).items()}
        found[path, "parent"] = (span.trace_id, span.parent_span_id)
    found["a refused host", "spans"] = len(server) - len(REQUESTS)
    others = sorted((s for s in console.store.spans() if s.kind != "server"), key=lambda s: s.start_ns)
    queries = [of_span(span, service.port) for span in queried(others)]
    found["queries", "user.wrapper"] = sum(query.pop("user.wrapper", False) for query in queries)
    found["queries", "all"] = queries
    (child,) = (span for span in others if span.name == "child")
    found["child", "user.wrapper"] = int("user.wrapper" in child.attributes)
    traces = {span.trace_id for span in server}
    assert {span.trace_id for span in others} <= traces
    by_id = {span.span_id: span for span in console.store.spans()}
    found["spans", "scopes"] = sorted({(each.scope.name, each.scope.version) for each in (*server, *queried(others))})
    found["queries", "parents"] = [by_id[span.parent_span_id or ""].kind for span in others]
    records = logged(console.store, "django.request")
    found["log records", "of 4xx and 5xx"] = len(records)
    found["log records", "of 4xx and 5xx in their trace"] = sum(bool(record.trace_id) for record in records)
    accesses = logged(console.store, "userapi.access")
    found["log records", "of accesses in their trace"] = sum(record.trace_id in traces for record in accesses[:8])
    found["metrics", "requests by status"] = counts(
        console, "http.server.request.duration", "http.response.status_code"
    )
    found["metrics", "queries"] = counts(console, "db.client.operation.duration", "db.operation.name")
    found["metrics", "rows"] = counts(console, "db.client.response.returned_rows", "db.operation.name")
    return found


def queried(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.kind == "client"]


def of_span(span: Span, port: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        key: list(value) if isinstance(value, (list, tuple)) else str(value).replace(str(port), "PORT")
        for key, value in span.attributes.items()
        if key not in _VOLATILE
    }
    if "user.wrapper" in attributes:
        attributes["user.wrapper"] = 1
    return attributes | {
        "name": span.name,
        "status": span.status,
        "status_message": span.status_message,
        "events": [event.name for event in span.events],
        "links": len(span.links),
    }


def test_differences(start_service: Start) -> None:
    found: list[Facts] = []
    for instrumentation in ("native", "contrib"):
        with Console(grpc_port=0, http_port=0, api_port=0) as console:
            found.append(facts(console, run(start_service, console, instrumentation)))
    ours, theirs = found
    keys = ours.keys() | theirs.keys()
    differ = {key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)}
    assert differ == {key: listed[:2] for key, listed in DIFFERENCES.items()}
    assert {path: theirs[path, "parent"] for path in REQUESTS} == PARENTS


def test_counts_of_several_workers_and_a_killed_one(console: Console, start: Start) -> None:
    """The same journal: nothing that a request left is lost with its worker. And no client decides on a trace."""
    env = {"TELEMETRY_INSTRUMENTATION": "contrib", "TELEMETRY_INCOMING_CONTEXT": "ignore"}
    service = start("--workers=2", mode="direct", **env)
    ignored, _ = PARENTS["/users"]
    for _ in range(10):
        service.get("/users", traceparent=f"00-{ignored}-{1:016x}-01")
    for worker in service.workers():
        worker.kill()
    wait_until(lambda: service.answers() and len(service.workers()) == 2, 60, "new workers")
    for _ in range(10):
        service.get("/users")
    assert scraped_requests(service) == 20
    service.stop()
    traces = [span.trace_id for span in console.store.spans() if span.kind == "server"]
    assert len({*traces} - {ignored}) == len(traces) == 20
