"""The document's lines under each of its servers: requests = spans = records = counts, through kills and reloads."""

import re
import signal
from collections import Counter
from functools import partial
from itertools import cycle
from pathlib import Path
from time import sleep

import psutil
import pytest

from telemetry.tools.console.server import Console
from tests.support.service import addresses, wait_until
from tests.use_it.project import Server, commands, exported, running

PATHS = {"/plain/1": "plain/{number}", "/waiting": "waiting", "/streamed": "streamed", "/nowhere": None}
SERVERS = commands()
RELOADS = {"gunicorn": signal.SIGHUP, "uvicorn": signal.SIGHUP, "granian": signal.SIGHUP}


def environment(console: Console, mode: str) -> dict[str, str]:
    """Return the document's variables, with the ports of the test's receiver."""
    env = exported("TELEMETRY_MODE=direct" if mode == "direct" else "export OTEL_EXPORTER_OTLP_ENDPOINT")
    env = {name: value.replace(":4318", f":{console.http_port}") for name, value in env.items()}
    env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"  # which 4318 says by itself
    # uvicorn gives a reload up, and keeps the old worker, where the new one takes longer than 5 s to start.
    env["UVICORN_TIMEOUT_WORKER_HEALTHCHECK"] = "60"
    return {**env, "OTEL_METRIC_EXPORT_INTERVAL": "500", "TELEMETRY_FLUSH_TIMEOUT": "15"}


def ask(server: Server, rounds: int) -> Counter[str]:
    answered: Counter[str] = Counter()
    for _ in range(rounds):
        for path in PATHS:
            status, body = server.get(path)
            assert status == (404 if path == "/nowhere" else 200), body
            answered[path] += 1
    return answered


def scraped(server: Server) -> float:
    status, body = server.get("/metrics")
    assert status == 200, body
    found = re.findall(r"^http_server_request_duration_seconds_count\S* (\S+)", body.decode(), re.MULTILINE)
    return sum(map(float, found))


def pushed(console: Console) -> float:
    series = console.store.series("http.server.request.duration", points=1)
    return float(sum(points[0].decode().data["count"] for _, points in series))


def spans(console: Console) -> int:
    return len({span.span_id for span in console.store.spans() if span.kind == "server"})


def has_spans(console: Console, number: int) -> bool:
    return spans(console) >= number


def records(console: Console) -> int:
    return len({record.span_id for record in console.store.logs() if record.scope.name == "telemetry.access"})


def reload(server: Server) -> bool:
    """Reload the server's workers, where it has a signal for it; return whether it has."""
    number = RELOADS.get(server.command.split(maxsplit=1)[0])
    if number is None:
        return False
    before = {worker.pid for worker in server.workers()}
    server.process.send_signal(number)
    wait_until(lambda: not before & {worker.pid for worker in server.workers()}, 60, "new workers")
    wait_until(server._listens, 60, "an answer of the new workers")
    sleep(2)  # longer than an exporter waits for another process where it knows of no server
    return True


def kill_worker(server: Server) -> bool:
    """Kill a worker, where there is one; wait until the server has another."""
    workers = server.workers()
    if len(workers) < 2:
        return False
    workers[-1].send_signal(signal.SIGKILL)
    psutil.wait_procs(workers[-1:], 10)
    wait_until(lambda: len(server.workers()) >= len(workers), 60, "another worker")
    wait_until(server._listens, 60, "an answer")
    return True


# A server runs in one mode each: what a process records does not depend on it.
@pytest.mark.parametrize(("name", "mode"), [*zip(SERVERS, cycle(["collector", "direct"]), strict=False)])
def test_counts_are_those_of_the_requests(console: Console, project: Path, site: Path, name: str, mode: str) -> None:
    with running(project, site, SERVERS[name], environment(console, mode)) as server:
        answered = ask(server, 3)
        if "telemetry.servers.gunicorn" in SERVERS[name]:  # the hooks say where it listens
            assert f"http://127.0.0.1:{server.port}" in addresses().values()
        # uvicorn hangs where it is to reload a worker that is only starting, granian replaces none after a reload.
        for disturb in (reload, kill_worker) if name.startswith("uvicorn") else (kill_worker, reload):
            so_far = answered.total()
            wait_until(partial(has_spans, console, so_far), 60, "spans")  # an answer may be ahead of its record
            if disturb(server):
                answered += ask(server, 2)
        total = answered.total()
        if mode == "direct":
            wait_until(lambda: scraped(server) >= total, 60, "the counts")  # of answers that are streamed, too
            assert scraped(server) == total
        else:
            wait_until(lambda: pushed(console) >= total, 60, "the counts")
            assert pushed(console) == total
        wait_until(lambda: min(spans(console), records(console)) >= total, 60, "spans and records")
        sleep(0.2)
        assert (spans(console), records(console)) == (total, total)
        routes = Counter(span.attributes.get("http.route") for span in console.store.spans() if span.kind == "server")
        assert routes == Counter({PATHS[path] and f"/{PATHS[path]}": count for path, count in answered.items()})
        queries = Counter(span.parent_span_id for span in console.store.spans() if span.kind == "client")
        requests = {span.span_id: span for span in console.store.spans() if span.kind == "server"}
        assert queries.keys() <= requests.keys()
        streamed = [span for span in requests.values() if span.attributes.get("http.route") == "/streamed"]
        assert all(queries[span.span_id] == 3 and span.end_ns - span.start_ns >= 100_000_000 for span in streamed)
        assert {span.resource.service for span in requests.values()} == {"mysite"}
