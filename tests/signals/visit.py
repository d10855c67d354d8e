"""One run of the service for several tests, each of which reads what the requests of its own part left."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import time_ns
from typing import Any

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import LogRecord, Span
from telemetry.tools.console.storage.store import Store
from tests.support.routes import LAZY, Route
from tests.support.service import Service, services

Requests = Callable[[Service], Any]
"""Sends a part's requests, one after the other, and returns what the tests want to know of the answers."""


class Part:
    """What the requests of one part left: the traces that began while they were sent; `result`: what they returned."""

    def __init__(self, store: Store, service: Service, requests: Requests) -> None:
        self.service = service
        self._store = store
        self.since = time_ns()
        self.result = requests(service)
        self.until = time_ns()

    def _traces(self) -> set[str]:
        spans = (span for span in self._store.spans() if span.kind == "server")
        return {span.trace_id for span in spans if self.since <= span.start_ns <= self.until}

    def spans(self) -> list[Span]:
        traces = self._traces()
        return [span for span in self._store.spans() if span.trace_id in traces]

    def logs(self) -> list[LogRecord]:
        traces = self._traces()
        return [record for record in self._store.logs() if record.trace_id in traces]

    def printed(self) -> list[dict[str, Any]]:
        traces = self._traces()
        return [line for line in printed(self.service) if line.get("trace_id") in traces]


class Visit:
    """A run of the service that is over, its `parts` by name, and the `store` of all that it sent."""

    def __init__(self, console: Console, service: Service, parts: Mapping[str, Requests]) -> None:
        self.store = console.store
        self.service = service
        self.parts = {name: Part(console.store, service, requests) for name, requests in parts.items()}
        service.stop()


def environment(console: Console, mode: str = "collector") -> dict[str, str]:
    """The environment of a service with the URLs of these tests, which sends everything at its stop."""
    return {**Route(mode, "grpc").env(console), **LAZY, "DJANGO_SETTINGS_MODULE": "tests.signals.settings"}


@contextmanager
def visited(
    folder: Path, migrated_sqlite: Path, parts: Mapping[str, Requests], *args: str, mode: str = "collector", **env: str
) -> Iterator[tuple[Visit, Console]]:
    """Yield a visit, and its receiver, which goes on receiving."""
    with (
        Console(grpc_port=0, http_port=0, api_port=0) as console,
        services(folder, migrated_sqlite) as start,
    ):
        service = start("--workers=1", *args, **{**environment(console, mode), **env})
        yield Visit(console, service, parts), console


def printed(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]


def server_spans(source: Store | Part) -> list[Span]:
    return sorted((span for span in source.spans() if span.kind == "server"), key=lambda span: span.start_ns)


def logged(source: Store | Part, logger: str) -> list[LogRecord]:
    """The records of `logger` and of those below it, in the order of their time."""
    records = [record for record in source.logs() if f"{record.scope.name}.".startswith(f"{logger}.")]
    return sorted(records, key=lambda record: record.time_ns)
