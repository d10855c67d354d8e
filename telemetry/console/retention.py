"""A first-in first-out queue that is bounded by number and by bytes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telemetry.console.limits import SignalLimits


class Sized(Protocol):
    """A stored record that knows its share of the store's bytes."""

    @property
    def size(self) -> int: ...


SizedT = TypeVar("SizedT", bound=Sized)


@dataclass(frozen=True, slots=True)
class Retained:
    """What is kept of one signal, what may be kept, and how many records were evicted since the start."""

    records: int
    bytes: int
    limit_records: int
    limit_bytes: int
    evicted: int


class BoundedQueue(Generic[SizedT]):
    """Keeps the newest records; `on_evict` is called with each one that has to go. Not thread-safe."""

    def __init__(self, limits: SignalLimits, on_evict: Callable[[SizedT], None]) -> None:
        self._limits = limits
        self._on_evict = on_evict
        self._records: deque[SizedT] = deque()
        self._bytes = 0
        self._evicted = 0

    def append(self, record: SizedT) -> None:
        """Add the newest record, and evict the oldest ones until both limits hold."""
        self._records.append(record)
        self._bytes += record.size
        while len(self._records) > self._limits.records or self._bytes > self._limits.bytes:
            oldest = self._records.popleft()
            self._bytes -= oldest.size
            self._evicted += 1
            self._on_evict(oldest)

    def charge(self, size: int) -> None:
        """Add to the bytes what records share (an index entry), or take it off again when it is gone."""
        self._bytes += size

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[SizedT]:
        return iter(self._records)

    def __reversed__(self) -> Iterator[SizedT]:
        return reversed(self._records)

    @property
    def retained(self) -> Retained:
        """The state of the queue now."""
        limits = self._limits
        return Retained(len(self._records), self._bytes, limits.records, limits.bytes, self._evicted)
