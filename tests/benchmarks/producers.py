"""What telemetry costs where it is made: microseconds of a request's span and metrics, of a query's, of a log record's.

    python -m tests.benchmarks.producers --mode direct

The parts of the service run in this process, with telemetry around them and without, in turn. "hot" is the mean of
many calls in a row; "cold" the median of calls before each of which the processor's caches were emptied, as a request's
own work does. Nothing is sent: encoding and sending are work of another thread.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import tests.support.environment  # noqa: F401  (the service's settings need it)
from tests.conftest import migrate
from tests.signals.in_process import environ
from tests.support.routes import LAZY

CALLS = 300
ROUNDS = 7
CACHES = bytearray(16 << 20)  # bytes; more than a core has
LOST = "http://127.0.0.1:9"
SIGNALS = {"collector": ("TRACES", "METRICS", "LOGS"), "direct": ("TRACES", "LOGS")}
# Room for all that is made here, so that nobody tries to send it.
ROOM = {
    f"OTEL_{kind}_{limit}": "1000000"
    for kind in ("BSP", "BLRP")
    for limit in ("MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=("collector", "direct"), default="collector")
    mode = parser.parse_args().mode
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/db.sqlite3"
        migrate(database)
        os.environ |= {**LAZY, **ROOM, "TELEMETRY_MODE": mode, "DATABASE_URL": database}
        os.environ |= {
            f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": f"{LOST}/v1/{signal.lower()}" for signal in SIGNALS[mode]
        }
        os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
        report()
    os._exit(0)  # without a last try to send


def report() -> None:
    from django.db import connection

    from telemetry.logs import OTLPHandler
    from userapi.wsgi import application  # noqa: F401  (starts the telemetry)

    output, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stdout)
    request, nothing = requests()
    cursor = connection.cursor()
    receiver, wrappers = OTLPHandler._receiver, list(connection.execute_wrappers)
    assert wrappers
    assert receiver

    def query() -> None:
        cursor.execute("SELECT 1")

    def trace_queries(yes: bool) -> None:
        connection.execute_wrappers[:] = wrappers if yes else []

    def send_logs(yes: bool) -> None:
        OTLPHandler.connect(receiver if yes else None)

    print(f"{'':12}{'hot':>10}{'cold':>10}", file=output)
    for name, act, without, switch in (
        ("request", request, nothing, lambda _: None),
        ("query", query, query, trace_queries),
        ("log record", write, write, send_logs),
    ):
        hot, cold = (added(measure, act, without, switch) for measure in (time_hot, time_cold))
        print(f"{name:12}{hot:7.1f} us{cold:7.1f} us", file=output, flush=True)


def requests() -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a request through the middleware with an empty view, and the view alone."""
    from django.core.handlers.wsgi import WSGIRequest
    from django.http import HttpResponse
    from django.urls import resolve

    from telemetry.request_middleware import RequestMiddleware

    headers = {"HOST": "127.0.0.1:8080", "USER_AGENT": "benchmark"}
    request = WSGIRequest(environ("GET", "/users/00000000-0000-0000-0000-000000000000", headers))
    request.resolver_match = resolve(request.path_info)
    response = HttpResponse("x")

    def view(_: Any) -> HttpResponse:
        return response

    middleware = RequestMiddleware(view)
    return (lambda: middleware(request)), (lambda: view(request))


def write() -> None:
    logging.getLogger("userapi.access").info(
        "%s %s %d",
        "GET",
        "/users/{id}",
        200,
        extra={"http.request.method": "GET", "http.route": "/users/{id}", "http.response.status_code": 200},
    )


def added(
    measure: Callable[[Callable[[], object]], float],
    act: Callable[[], object],
    without: Callable[[], object],
    switch: Callable[[bool], None],
) -> float:
    """Return the microseconds that telemetry adds: the median of rounds with it and without in turn."""
    differences = []
    for _ in range(ROUNDS):
        switch(True)
        with_it = measure(act)
        switch(False)
        differences.append(with_it - measure(without))
    switch(True)
    return statistics.median(differences)


def time_hot(act: Callable[[], object]) -> float:
    started = perf_counter_ns()
    for _ in range(CALLS):
        act()
    return (perf_counter_ns() - started) / CALLS / 1e3


def time_cold(act: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS // ROUNDS):
        CACHES[::64] = bytes(len(CACHES) // 64)
        started = perf_counter_ns()
        act()
        times.append(perf_counter_ns() - started)
    return statistics.median(times) / 1e3


if __name__ == "__main__":
    sys.exit(main())
