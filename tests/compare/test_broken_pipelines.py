"""A pipeline that somebody broke makes the comparison fail and say what is missing, with real processes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.compare.conftest import Ended

Compare = Callable[..., Ended]

CALM = ("--scenarios", "loss", "--faults", "calm", "--collector", "none")


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


@pytest.mark.parametrize(
    ("variant", "setting", "missing"),
    [
        ("collector-http", "DJANGO_SETTINGS_MODULE=tests.compare.settings_without_handler", "log records: 40 of 40"),
        ("direct", "OTEL_TRACES_EXPORTER=none", "spans: 40 of 40"),
        ("collector-grpc", "OTEL_METRICS_EXPORTER=none", "counter: 40 of 40"),
    ],
)
def test_signal_that_nobody_sends_fails(compare: Compare, variant: str, setting: str, missing: str) -> None:
    ended = compare(*CALM, "--variants", "off", variant, "--set", setting)
    assert ended.code == 1, ended.output
    assert any(f"{missing} are missing, and no reason is told" in problem for problem in ended.report["problems"])
    assert not ended.report["ok"]
    assert ended.report["complete"]


def test_redirected_signal_is_lost_for_a_reason(compare: Compare) -> None:
    """The exporter follows no redirect and counts a refusal, so the loss is explained; it is shown, not hidden."""
    with redirect() as endpoint:
        setting = f"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT={endpoint}"
        ended = compare(*CALM, "--variants", "off", "direct", "--set", setting)
    assert ended.code == 1, ended.output
    assert ended.report["problems"] == [
        "loss, calm, direct: log records: 40 of 40 are lost in calm, where nothing may be (refused 46)"
    ]
