"""Limits of the store and of one message, and a first-in first-out queue bounded by number and bytes."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from telemetry.tools.console.storage.records import Origin

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class SignalLimits:
    """The limits of one signal; whichever is reached first evicts the oldest records."""

    records: int
    bytes: int

    def __post_init__(self) -> None:
        for name in ("records", "bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"SignalLimits.{name} is {getattr(self, name)}; expected an integer from 1")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the store per signal, and of one OTLP message after decompression.

    `message_records` bounds the resources, scopes, metrics and records of a message; a larger message is refused. A
    record of more than `record_bytes` is rejected: decoded it can take 30 times as much.
    """

    spans: SignalLimits = field(default_factory=lambda: SignalLimits(50_000, 64 * MEBIBYTE))
    logs: SignalLimits = field(default_factory=lambda: SignalLimits(50_000, 64 * MEBIBYTE))
    points: SignalLimits = field(default_factory=lambda: SignalLimits(500_000, 64 * MEBIBYTE))
    message_bytes: int = 4 * MEBIBYTE
    message_records: int = 50_000
    record_bytes: int = MEBIBYTE // 4


Item = TypeVar("Item")

#: The most that one page or answer decodes (bytes as stored).
_ONE_ANSWER = 4 << 20


def affordable(records: Iterable[Item], most: int, size: Callable[[Item], int] = attrgetter("size")) -> Iterator[Item]:
    """Yield the first `most` records, or fewer if they are large: in an answer they take many times as much memory."""
    left = _ONE_ANSWER
    for record in islice(records, most):
        left -= size(record)
        if left < 0:
            return
        yield record


@dataclass(frozen=True, slots=True)
class Retained:
    """What is kept of one signal, what may be kept, and how many records were evicted since the start."""

    records: int
    bytes: int
    limit_records: int
    limit_bytes: int
    evicted: int


class BoundedQueue(deque[Item]):
    """Keeps the newest records, each with its `size` in bytes and its `origin`, None of a scrape. Not thread-safe.

    What records share (an origin, a trace's index entry, a series) is charged for as long as one of them is kept.
    """

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__()
        self._limits = limits
        #: Of the records and what several of them share, which subclasses add and subtract.
        self._bytes = 0
        self._evicted = 0
        self._shares: Counter[Origin] = Counter()

    def append(self, record: Any, /) -> None:
        """Add the newest record, and evict the oldest ones until both limits hold."""
        super().append(record)
        self._bytes += record.size
        origin = record.origin
        if origin is not None:
            if origin not in self._shares:
                self._bytes += origin.size
            self._shares[origin] += 1
        while len(self) > self._limits.records or self._bytes > self._limits.bytes:
            oldest: Any = self.popleft()
            self._bytes -= oldest.size
            self._evicted += 1
            if oldest.origin is not None:
                self._shares[oldest.origin] -= 1
                if not self._shares[oldest.origin]:
                    del self._shares[oldest.origin]
                    self._bytes -= oldest.origin.size
            self.forget(oldest)

    def forget(self, record: Item) -> None:
        """Remove an evicted record from the indexes."""
        raise NotImplementedError

    @property
    def retained(self) -> Retained:
        return Retained(len(self), self._bytes, self._limits.records, self._limits.bytes, self._evicted)
