"""A server that counts what Sentry's SDK sends: transactions, their spans, and log records."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from telemetry.tools.console.receiving.deferral import Deferral

_OK = 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: the fault proxy breaks connections on purpose."""


class SentrySink:
    """Listens on a free `port` of the loopback address; a context manager. `refusal` is a status to refuse with, or 0.

    A transaction is a request's server span; those of the path `ignored` are left out. `access` are log records of the
    logger `access_logger`.
    """

    def __init__(self, access_logger: str, ignored: str = "") -> None:
        self.transactions = self.spans = self.access = self.log_records = 0
        self.refusal = 0
        self._access_logger = access_logger
        self._ignored = ignored
        self._lock = threading.Lock()
        self._deferral = Deferral()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not sink.refusal:
                    sink.receive(body, self.headers.get("Content-Encoding", ""))
                self.send_response(sink.refusal or _OK)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def deferred(self) -> AbstractContextManager[None]:
        """Postpone decoding to the end."""
        return self._deferral.until_the_end()

    def receive(self, body: bytes, encoding: str) -> None:
        """Count the items of a request, now or when decoding is no longer deferred."""

        def count() -> None:
            self.take(_decoded(body, encoding))

        if not self._deferral.defer(count, len(body)):
            count()

    def take(self, envelope: bytes) -> None:
        """Count the items of an envelope."""
        for header, payload in _items(envelope):
            with self._lock:
                if header.get("type") == "transaction":
                    transaction = json.loads(payload)
                    if self._ignored and _path_of(transaction) == self._ignored:
                        continue
                    self.transactions += 1
                    self.spans += 1 + len(transaction.get("spans") or ())
                elif header.get("type") == "log":
                    records = json.loads(payload)["items"]
                    self.log_records += len(records)
                    self.access += sum(_logger_of(record) == self._access_logger for record in records)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "br":  # the SDK's choice where this package is installed
        import brotli

        found: bytes = brotli.decompress(body)
        return found
    return zlib.decompress(body) if encoding == "deflate" else body


def _items(envelope: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield header and payload of each item: lines of JSON, each before a payload of the length that it names."""
    _, _, rest = envelope.partition(b"\n")
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        header: dict[str, Any] = {}
        with suppress(ValueError):
            header = json.loads(line)
        length = header.get("length")
        if isinstance(length, int):
            payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
        else:
            payload, _, rest = rest.partition(b"\n")
        yield header, payload


def _path_of(transaction: dict[str, Any]) -> str:
    return urlsplit(str((transaction.get("request") or {}).get("url", ""))).path


def _logger_of(record: dict[str, Any]) -> str:
    return str((record.get("attributes") or {}).get("logger.name", {}).get("value", ""))
