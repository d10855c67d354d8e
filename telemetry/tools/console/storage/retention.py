"""How much the console keeps and one message may hold, and a first-in first-out queue bounded by number and bytes."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from telemetry.tools.console.storage.origin import Origin

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class SignalLimits:
    """The most that is kept of one signal; whichever limit is reached first evicts the oldest."""

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


class Sized(Protocol):
    """What knows how many bytes of the store it takes."""

    @property
    def size(self) -> int: ...


Item = TypeVar("Item")
SizedT = TypeVar("SizedT", bound=Sized)

#: What one page or answer decodes at most (bytes as stored).
_ONE_ANSWER = 4 << 20


def affordable(records: Iterable[Item], most: int, size: Callable[[Item], int] = attrgetter("size")) -> Iterator[Item]:
    """The first `most` records, or fewer if they are large: what they become in an answer takes many times as much."""
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


class BoundedQueue(ABC, Generic[SizedT]):
    """Keeps the newest records. Not thread-safe: the `Store` holds the lock.

    What records share (an origin, a trace's index entry, a series) is charged for as long as one of them is kept.
    """

    def __init__(self, limits: SignalLimits) -> None:
        self._limits = limits
        self._records: deque[SizedT] = deque()
        self._bytes = 0
        self._evicted = 0
        self._shares: dict[Origin, int] = {}

    def append(self, record: SizedT) -> None:
        """Add the newest record, and evict the oldest ones until both limits hold."""
        self._records.append(record)
        self._bytes += record.size
        while len(self._records) > self._limits.records or self._bytes > self._limits.bytes:
            oldest = self._records.popleft()
            self._bytes -= oldest.size
            self._evicted += 1
            self.forget(oldest)

    @abstractmethod
    def forget(self, record: SizedT) -> None:
        """Remove a record, which is evicted, from the indexes."""

    def charge(self, size: int) -> None:
        """Add to the bytes what several records share, or subtract it when the last of them is evicted."""
        self._bytes += size

    def share(self, origin: Origin) -> None:
        """Count a record of the origin, which is charged with the first one."""
        count = self._shares.get(origin, 0)
        self._shares[origin] = count + 1
        if not count:
            self._bytes += origin.size

    def release(self, origin: Origin) -> None:
        """Count one record of the origin less."""
        count = self._shares[origin] - 1
        if count:
            self._shares[origin] = count
        else:
            del self._shares[origin]
            self._bytes -= origin.size

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
