"""Request figures over time, by mode: a ring of short slots into which arriving server spans are counted."""

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from telemetry.tools.console.counting.counts import ByMode
from telemetry.tools.console.storage.buckets import Buckets, quantile
from telemetry.tools.console.storage.records import STATUS_ERROR, StoredSpan

#: Eight buckets for each doubling, from 4.096 microseconds on; durations from about four minutes on share the last one.
_EIGHTHS = (eighth << octave for octave in range(25) for eighth in range(9, 17))
_ENDS_NS = tuple(units << 12 for units in (*range(1, 9), *_EIGHTHS))
_BOUNDS = tuple(end / 1e9 for end in _ENDS_NS)
BUCKETS = len(_BOUNDS)


def bucket_of(nanoseconds: int) -> int:
    """Return the bucket of a duration of at least 0."""
    return min(bisect_right(_ENDS_NS, nanoseconds), BUCKETS - 1)


def new_counts() -> "array[int]":
    """Return an empty distribution, four bytes for each bucket."""
    return array("I", bytes(4 * BUCKETS))


def added_up(distributions: "Iterable[array[int]]") -> "array[int]":
    """Return the sum of several distributions, each added as one long integer: no count is 2 ** 32 or more."""
    total = sum(int.from_bytes(each, sys.byteorder) for each in distributions)
    return array("I", total.to_bytes(4 * BUCKETS, sys.byteorder))


SLOT_SECONDS = 2
#: Those of 30 minutes, and the latest, which are not shown yet.
SLOTS = 900 + 32
_SLOT_NS = SLOT_SECONDS * 10**9
_MOST_MODES = 8
#: Spans arrive in batches with some delay, so the most recent rates are incomplete.
_RECENT_SLOTS = 30
_SHORTEST_DELAY, _LONGEST_DELAY = 2.0, 15.0


@dataclass(slots=True)
class Slot:
    """Requests that ended within two seconds: their number, failures and durations, and the delays of their spans."""

    number: int
    requests: int = 0
    errors: int = 0
    durations: "array[int]" = field(default_factory=new_counts)
    delays: "array[int]" = field(default_factory=new_counts)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a period that begins at `start` (seconds since the epoch); durations in seconds."""

    start: float
    seconds: float
    requests: int
    errors: int
    durations: Sequence[int]
    delays: Sequence[int]

    @property
    def rate(self) -> float | None:
        """Requests per second, None before the first."""
        return self.requests / self.seconds if self.seconds else None

    @property
    def error_ratio(self) -> float | None:
        """The share of failed requests, None without requests."""
        return self.errors / self.requests if self.requests else None

    def duration(self, share: float) -> float | None:
        """A quantile of the durations."""
        return quantile(Buckets(_BOUNDS, self.durations), share)

    def delay(self, share: float) -> float | None:
        """A quantile of the time from the end of a request to the arrival of its span."""
        return quantile(Buckets(_BOUNDS, self.delays), share)


#: The figures of a mode before its first server span.
NO_FIGURES = Figures(0, 0, 0, 0, (), ())


class ModeHistory:
    """The ring of one mode. Not thread-safe: the `Store` holds the lock."""

    def __init__(self) -> None:
        self._slots: list[Slot | None] = [None] * SLOTS
        self._first: int | None = None

    def add(self, span: StoredSpan, now_ns: int) -> None:
        """Count a server span in the slot of its end; one that ended before the ring's time is left out."""
        # A sender whose clock is ahead must not clear the slots of later times.
        end_ns = min(span.end_ns, now_ns)
        number = end_ns // _SLOT_NS
        slot = self._slots[number % SLOTS]
        if slot is None or slot.number < number:
            slot = self._slots[number % SLOTS] = Slot(number)
        elif slot.number > number:
            return
        if self._first is None:
            self._first = number
        slot.requests += 1
        if span.status == STATUS_ERROR:
            slot.errors += 1
        slot.durations[bucket_of(max(span.end_ns - span.start_ns, 0))] += 1
        slot.delays[bucket_of(now_ns - end_ns)] += 1

    def recent(self, end: int, slots: int) -> Figures:
        """The last `slots` slots that end before slot number `end`, or fewer: the time since the first span."""
        known = slots if self._first is None else min(max(end - self._first, 1), slots)
        return self.figures(end - known, known)

    def figures(self, first: int, slots: int) -> Figures:
        """Return the figures of so many slots from number `first` on."""
        numbers = range(first, first + slots)
        present = [slot for number in numbers if (slot := self._slots[number % SLOTS]) and slot.number == number]
        return Figures(
            start=first * SLOT_SECONDS,
            seconds=slots * SLOT_SECONDS,
            requests=sum(slot.requests for slot in present),
            errors=sum(slot.errors for slot in present),
            durations=added_up(slot.durations for slot in present),
            delays=added_up(slot.delays for slot in present),
        )


class History(ByMode[ModeHistory]):
    """The rings of all modes, at most eight. Not thread-safe: the `Store` holds the lock."""

    def __init__(self) -> None:
        super().__init__(ModeHistory, _MOST_MODES - 1)

    def figures(self, seconds: int, steps: int, now: float) -> dict[str, list[Figures]]:
        """Return the last `seconds` with complete spans in at most `steps` equal parts, by mode."""
        slots = max(round(seconds / steps / SLOT_SECONDS), 1)
        steps = round(seconds / slots / SLOT_SECONDS)
        # All modes end at the same time, and each part holds the same slots while time goes on.
        end = min((self._end(ring, now) for ring in self.values()), default=0) // slots * slots
        firsts = range(end - slots * steps, end, slots)
        return {name: [ring.figures(first, slots) for first in firsts] for name, ring in self.items()}

    def recent(self, seconds: int, now: float) -> dict[str, Figures]:
        """Return the last `seconds`, by mode; less if a mode's first span arrived since then."""
        slots = seconds // SLOT_SECONDS
        return {name: ring.recent(self._end(ring, now), slots) for name, ring in self.items()}

    @staticmethod
    def _end(ring: ModeHistory, now: float) -> int:
        current = int(now // SLOT_SECONDS)
        recent = ring.recent(current, _RECENT_SLOTS)
        delay = min(max(recent.delay(0.99) or 0.0, _SHORTEST_DELAY), _LONGEST_DELAY)
        return int((now - delay) // SLOT_SECONDS)
