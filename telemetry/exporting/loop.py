"""The exporter's loop: read the rings, translate the records for export, and commit.

A commit appends pending requests to the spool, writes the snapshot, releases the rings' space and publishes the new
batches to the senders, in this order: whenever this process is killed, its successor finds each record exactly once.
"""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from telemetry.exporting.items.translation import Translator
from telemetry.exporting.outlets import Outlets
from telemetry.exporting.rings import Rings
from telemetry.exporting.server import Answering
from telemetry.exporting.state import State
from telemetry.journal import directory

logger = logging.getLogger(__name__)

_SHORTEST_POLL_SECONDS = 0.01
_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_PENDING_BYTES = 1 << 20
_HALF = 0.5
# After each piece of a ring, yields to a worker on the same core.
_PAUSE_SECONDS = 0.0001
# Share of a ring between two commits; a ring that fills faster is read every _POLL_SECONDS, before it is full.
_FILLS_FAST = 0.1
# A run that no server holds is over after this time without a recording process: a recycled worker is replaced sooner.
_LINGER_SECONDS = 1.5


class Loop:
    """Reads a run's records until the run is over."""

    def __init__(
        self,
        path: Path,
        *,
        rings: Rings,
        translator: Translator,
        outlets: Outlets,
        state: State,
        own_records: "deque[tuple[Any, ...]]",
        is_current: Callable[[], bool],
        is_alone: Callable[[], bool],
        serves: Callable[[], bool],
        in_thread: bool,
    ) -> None:
        """`own_records` are the exporter's own log records; `is_current` returns False if a successor must take over.

        `is_alone` returns False if another exporter may run, since the lock file was removed; `serves` returns whether
        the server is alive, if that is known without its hooks; with `in_thread`, the loop runs in a thread of a
        serving process, and ends with it.
        """
        self._in_thread = in_thread
        self._path = path
        self._rings = rings
        self._translator = translator
        self._outlets = outlets
        self._state = state
        self._own_records = own_records
        self._is_current = is_current
        self._is_alone = is_alone
        self._serves = serves
        self._answering = Answering(path, self.metrics, self.status, self._look_now)
        self._idle_wait = _POLL_SECONDS
        self._filled = 0.0
        self._next_look = self._next_commit = 0.0
        self._alone_since: float | None = None
        self._changed = False

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Run until the run is over, its directory is gone, a successor must take over, or `stop` returns True."""
        self._outlets.start()
        try:
            with suppress(FileNotFoundError):  # the first look handles this
                self._rings.refresh()  # so that the commit keeps their read positions
                former = self._state.of("writers")
                if former is not None:  # else it was an exporter of an earlier version
                    self._outlets.aggregation.keep_current(self._rings.known_to(former))
            self.commit(monotonic())  # so that this start is counted in any case
            wait = _POLL_SECONDS
            while not stop():
                self._answering.answer_within(wait)
                read = self.drain()
                now = monotonic()
                if self._outlets.is_push_due(now):
                    self._outlets.observe(self._rings)
                    self._outlets.push()
                if now >= self._next_look and not self._look(now):
                    break
                if self._is_due(now):  # last: after a commit, the senders compete for the interpreter
                    self.commit(now)
                wait = self._next_wait(read, now)
        finally:
            self._answering.close()
            try:
                self._end()
            except BaseException:  # the senders must stop in any case, as a successor sends their batches
                self._outlets.hand_over(deliver=False)
                raise

    def _next_wait(self, read: int, now: float) -> float:
        """Return the seconds until the next read of the rings: until a commit is due, longer while idle."""
        if not read and not self._changed:
            self._idle_wait = min(2 * self._idle_wait, _LONGEST_POLL_SECONDS)
            return self._idle_wait
        self._idle_wait = _POLL_SECONDS
        if self._rings.fullest_unread > _FILLS_FAST:  # it filled during the last read
            return _SHORTEST_POLL_SECONDS
        return _POLL_SECONDS if self._filled > _FILLS_FAST else max(_POLL_SECONDS, self._next_commit - now)

    def drain(self) -> int:
        """Read and translate all records written before this call; return their number.

        Later ones wait for the next call: with many busy processes, there are always some.
        """
        count, unread = 0, self._rings.unread()
        while True:
            before = count
            for writer, records in self._rings.read(unread):
                self._translator.translate(records, writer)
                count += len(records)
                sleep(_PAUSE_SECONDS)
            for _ in range(len(self._own_records)):
                self._translator.translate([self._own_records.popleft()], None)
                count += 1
            if count > before and (self._outlets.pending_bytes >= _PENDING_BYTES or self._rings.fullest >= _HALF):
                self.commit(monotonic())
            if not unread:
                break
        self._changed = self._changed or bool(count)
        return count

    def _is_due(self, now: float) -> bool:
        if self._outlets.has_appended or self._outlets.pending_bytes >= _PENDING_BYTES:
            return True
        return (self._changed or self._outlets.has_counted) and now >= self._next_commit

    def commit(self, now: float) -> None:
        """Save everything read so far, and publish it to the senders."""
        self._next_commit = now + self._outlets.commit_seconds
        self._changed = False
        self._filled = self._rings.fullest
        self._outlets.append()
        self._outlets.count(self._rings)  # so that a successor knows the processes whose values it takes over
        self._state.save(self._rings, self._outlets)
        self._rings.release()
        self._outlets.publish()

    def _look_now(self) -> None:
        self._next_look = 0.0

    def _look(self, now: float) -> bool:
        """Check rings, writers and the service; return whether to go on."""
        self._next_look = now + _LOOK_SECONDS
        if not self._is_alone():
            logger.warning("the lock of the telemetry's exporter was removed; another exporter takes its place")
            return False
        try:
            self._rings.refresh()
        except FileNotFoundError:
            logger.warning("the telemetry's files were removed; a new exporter begins with new ones")
            return False
        self._forget_gone()
        self._outlets.observe(self._rings)
        if not self._is_current():
            return False
        if directory.is_alive(self._path) or self._serves():
            self._alone_since = None
            return True
        if directory.had_server(self._path):
            return False
        if self._alone_since is None:
            self._alone_since = now
            self._next_look = now + _LINGER_SECONDS
        return now - self._alone_since < _LINGER_SECONDS

    def _forget_gone(self) -> None:
        if self._rings.gone:
            self.drain()
            self._rings.gone.clear()
        self._outlets.aggregation.keep({s.writer.pid for s in self._rings.sources.values() if s.is_alive})

    def metrics(self, accept: str) -> tuple[bytes, str] | None:
        """Return the answer to a scrape, which covers all finished requests; None if metrics are not scraped."""
        began = monotonic()
        self._rings.refresh()
        self.drain()
        self._forget_gone()
        self._outlets.observe(self._rings, fresh=True)
        answer = self._outlets.render(accept, monotonic() - began)
        if self._outlets.has_counted:  # a counter must not fall behind a scraped value if this process is killed
            self.commit(monotonic())
        return answer

    def status(self) -> dict[str, Any]:
        """Return the data of `manage.py telemetry --status`, including everything recorded so far."""
        with suppress(FileNotFoundError):
            self._rings.refresh()
        rings = self._rings.status()  # before they are drained
        self.drain()
        self.commit(monotonic())
        return {
            "instance": self._outlets.instance,
            "torn": self._rings.torn,
            "errors": self._translator.errors,
            "rings": rings,
            "signals": self._outlets.status(),
            **self._state.status(),
        }

    def _end(self) -> None:
        if not self._is_alone():
            self._outlets.hand_over(deliver=False)
            return
        with suppress(FileNotFoundError):
            self._rings.refresh()
        self.drain()
        self._forget_gone()
        self._outlets.observe(self._rings)
        self.commit(monotonic())
        if self._path.exists() and (directory.is_alive(self._path) or not self._is_current()):
            if self._in_thread:  # the run's processes may be ending, too, and start no other exporter
                self._outlets.push()
                self.commit(monotonic())
            self._outlets.hand_over(deliver=self._in_thread)
            self._state.save(self._rings, self._outlets)  # with what was delivered meanwhile
            return
        dropped = self._outlets.finish(lambda: self.commit(monotonic()))
        self._state.save(self._rings, self._outlets)
        if dropped:
            logger.warning("telemetry dropped at stop: %s", dropped)
