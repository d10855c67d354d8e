"""A broken pipeline makes the comparison fail and say what is missing, with real processes."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.tools.compare.conftest import Ended

Compare = Callable[..., Ended]

# Seconds; on a busy machine each starts its processes slowly.
pytestmark = pytest.mark.timeout(400)

CALM = ("--scenarios", "loss", "--faults", "calm", "--collector", "none", "--duration", "1", "--variants", "off")


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


def test_removed_handler_fails(compare: Compare) -> None:
    ended = compare(
        *CALM, "collector-http", "--set", "DJANGO_SETTINGS_MODULE=tests.tools.compare.settings_without_handler"
    )
    assert ended.code == 1, ended.output
    (problem,) = ended.report["problems"]
    assert "log records: 30 of 30 are missing; reasons counted: none" in problem
    assert not ended.report["ok"]
    assert ended.report["complete"]


def test_exporter_set_to_none_and_redirect_fail(compare: Compare) -> None:
    """The exporter follows no redirect and counts a refusal, so this loss has a reason; in calm it fails anyway."""
    with redirect() as endpoint:
        settings = ("OTEL_TRACES_EXPORTER=none", f"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT={endpoint}")
        ended = compare(*CALM, "direct", "--set", *settings)
    assert ended.code == 1, ended.output
    spans, records = ended.report["problems"]
    assert "spans: 30 of 30 are missing; reasons counted: none" in spans
    # Each request leaves its access record, and the bad ones another; they are counted as refused, one by one.
    expected = r"loss, calm, direct: log records: 30 of 30 are lost, where nothing may be \(refused (\d+)\)"
    counted = re.fullmatch(expected, records)
    assert counted, records
    assert int(counted[1]) > 30
