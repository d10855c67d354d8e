"""Spans or log records that wait for the next commit, as export requests of bounded size."""

from collections.abc import Mapping
from typing import Any

from telemetry.exporting.encoding import RequestBuilder, ScopeData

# gRPC servers accept 4 MiB by default, and a span is rarely larger than a few KiB.
_MOST_BYTES = 1 << 20


class Batches:
    """Export requests of one signal; each is closed at `most_items`, or at 1 MiB."""

    def __init__(self, signal: str, resource: Mapping[str, Any], most_items: int) -> None:
        self._signal = signal
        self._resource = resource
        self._most = most_items
        self._closed: list[tuple[bytes, int]] = []
        self._open = RequestBuilder(signal, resource)

    @property
    def size(self) -> int:
        """The bytes of all waiting items."""
        return self._open.size + sum(len(data) for data, _ in self._closed)

    def add(self, scope: ScopeData, item: bytes) -> None:
        """Add an encoded span or log record."""
        request = self._open
        request.add(scope, item)
        if request.items >= self._most or request.size >= _MOST_BYTES:
            self._close()

    def _close(self) -> None:
        if self._open.items:
            self._closed.append((self._open.build(), self._open.items))
            self._open = RequestBuilder(self._signal, self._resource)

    def take(self) -> list[tuple[bytes, int]]:
        """Return and remove the waiting requests, each with the number of its items."""
        self._close()
        taken, self._closed = self._closed, []
        return taken
