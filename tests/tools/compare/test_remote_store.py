"""Counts from real backends' APIs, and trouble with them that is reported."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from telemetry.tools.compare.counts.remote_store import RemoteStore
from telemetry.tools.compare.options import Backends
from telemetry.tools.compare.setups.route import VARIANTS

TRACE = {"traceID": "1", "spanSets": [{"matched": 1}]}


@contextmanager
def backends(*, broken: bool = False) -> Iterator[str]:
    """One server that answers for Prometheus, Loki and Tempo, in the form of their APIs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            body = json.dumps(self.answer(parts.path, query)).encode()
            self.send_response(500 if broken and parts.path.startswith("/api/search") else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def answer(self, path: str, query: dict[str, list[str]]) -> Any:
            if path == "/api/search":
                return {"traces": [TRACE] * (3 if "kind = server" in query["q"][0] else 7)}
            if path == "/loki/api/v1/query":
                count = "3" if "userapi.access" in query["query"][0] else "4"
                return {"data": {"resultType": "vector", "result": [{"value": [0, count]}]}}
            assert 'service_name="run-1"' in query["query"][0]
            return {
                "status": "success",
                "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "3"]}]},
            }

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_counts_are_those_of_the_backends() -> None:
    with backends() as url:
        store = RemoteStore(Backends(prometheus=url, tempo=url, loki=url), VARIANTS["direct"], "run-1")
        stored = store.read()
    assert (stored.server_spans, stored.spans) == (3, 7)
    assert (stored.access_records, stored.log_records) == (3, 4)
    assert stored.requests == 3
    assert store.trouble == ""
    assert store.env["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] == f"{url}/otlp/v1/logs"


def test_backend_that_fails_is_reported() -> None:
    with backends(broken=True) as url:
        store = RemoteStore(Backends(prometheus=url, tempo=url, loki=url), VARIANTS["direct"], "run-1")
        store.read()
    assert "Tempo" in store.trouble
    assert "HTTP 500" in store.trouble
