"""`userapi.asgi` under a real uvicorn with two workers: requests = spans = access records = counts; bodies end."""

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from telemetry.tools.console.server import Console
from tests.support.routes import Route, expect, scraped_requests, send
from tests.support.service import Service
from tests.userapi.test_health import answer as probed
from userapi import asgi

REQUESTS = 12


class Uvicorn(Service):
    """The service as README says that an ASGI server runs it."""

    def __init__(self, folder: Path, database: str, env: Mapping[str, str]) -> None:
        super().__init__(folder, database, env)
        self._command = [sys.executable, "-m", "uvicorn", "--port", str(self.port), "--workers", "2"]
        self._command += ["userapi.asgi:application"]


@contextmanager
def running(folder: Path, migrated_sqlite: Path) -> Iterator[tuple[Console, Uvicorn]]:
    """The service, and what receives from it."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        database = f"sqlite:///{copy(migrated_sqlite, folder / 'db.sqlite3')}"
        env = {**Route("direct", "http/protobuf").env(console), "USERAPI_OPEN_ACCESS": "true"}
        with Uvicorn(folder, database, env) as service:
            yield console, service


def test_asgi_counts_are_those_of_the_requests(tmp_path: Path, migrated_sqlite: Path) -> None:
    """In direct mode: it has /metrics, and what is recorded does not depend on the mode."""
    with running(tmp_path, migrated_sqlite) as (console, service):
        send(service, REQUESTS)
        status, headers, _ = service.request("POST", "/users", {"name": "Ada", "email": "ada@example.com"})
        assert status == 201
        assert service.get(urlsplit(headers["location"]).path)[0] == 200
        assert probed(service)[0] == 200  # a probe: it leaves nothing
        total = REQUESTS + 2
        expect(console, "direct", total)
        assert scraped_requests(service) == total
        spans = console.store.spans()
        servers = {span.span_id: span for span in spans if span.kind == "server"}
        assert Counter(span.attributes["http.route"] for span in servers.values()) == {
            "/users": 2 * REQUESTS // 3 + 1,
            "/users/{id}": REQUESTS // 3 + 1,
        }
        # Views run in threads: their queries and records are in the request's trace all the same.
        queries = [span for span in spans if span.kind == "client"]
        assert {span.parent_span_id for span in queries} <= servers.keys()
        reads = [span.span_id for span in servers.values() if span.name == "GET /users"]
        assert {*reads} <= {span.parent_span_id for span in queries}
        access = [record for record in console.store.logs() if record.scope.name == "userapi.access"]
        assert {record.span_id for record in access} == servers.keys()


def test_refused_body_is_not_waited_for(tmp_path: Path, migrated_sqlite: Path) -> None:
    database = f"sqlite:///{copy(migrated_sqlite, tmp_path / 'db.sqlite3')}"
    with Uvicorn(tmp_path, database, {"USERAPI_OPEN_ACCESS": "true"}) as service:
        for framing, status in ((b"Content-Length: 65537", b"413"), (b"Transfer-Encoding: chunked", b"411")):
            with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
                client.sendall(b"POST /users HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("length", [[], [(b"content-length", b"9" * 5000)]], ids=["none", "5000 digits"])
def test_body_of_odd_length_is_read_up_to_the_limit(length: list[tuple[bytes, bytes]]) -> None:
    """HTTP/2 needs no length."""
    received = 0
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal received
        await asyncio.sleep(0)
        if sent:
            return {"type": "http.disconnect"}
        received += 1
        return {"type": "http.request", "body": bytes(settings.DATA_UPLOAD_MAX_MEMORY_SIZE), "more_body": received < 9}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), *length]
    scope = {"type": "http", "method": "POST", "path": "/users", "query_string": b"", "headers": headers}
    asyncio.run(asgi.application(scope, receive, send))
    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"])["detail"] == "The body is too large; expected at most 65536 bytes."
    assert (b"Content-Type", b"application/problem+json") in sent[0]["headers"]
