"""A broken pipeline makes the comparison fail and say what is missing, with real processes."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.tools.compare.conftest import Ended

# Seconds; on a busy machine each starts its processes slowly.
pytestmark = pytest.mark.timeout(400)


@contextmanager
def redirect() -> Iterator[str]:
    """The address of a server that sends everybody elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/v1/logs")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/logs"
    server.shutdown()
    server.server_close()


def test_removed_handler_and_exporter_and_a_redirect_fail(compare: Callable[..., Ended]) -> None:
    """The exporter follows no redirect and counts a refusal, so this loss has a reason; in calm it fails anyway."""
    with redirect() as endpoint:
        settings = ["DJANGO_SETTINGS_MODULE=tests.tools.compare.settings_without_handler"]
        settings += ["OTEL_TRACES_EXPORTER=none", f"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT={endpoint}"]
        arguments = ["--scenarios", "loss", "--faults", "calm", "--collector", "none", "--duration", "1"]
        ended = compare(*arguments, "--variants", "off", "collector-http", "direct", "--set", *settings)
    assert ended.code == 1, ended.output
    assert (ended.report["ok"], ended.report["complete"]) == (False, True)
    problems = [problem.removeprefix("loss, calm, ") for problem in ended.report["problems"]]
    missing = {problem for problem in problems if problem.endswith("30 of 30 are missing; reasons counted: none")}
    (refused,) = set(problems) - missing
    assert {problem.partition(": 30")[0] for problem in missing} == {
        "collector, HTTP: spans",
        "collector, HTTP: log records",
        "direct: spans",
    }
    # Each request leaves its access record, and the bad ones another; they are counted as refused, one by one.
    expected = r"direct: log records: 30 of 30 are lost, where nothing may be \(refused (\d+)\)"
    counted = re.fullmatch(expected, refused)
    assert counted, refused
    assert int(counted[1]) > 30
