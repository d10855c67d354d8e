"""The log records of the store, linked to traces by their ids."""

from collections.abc import Iterator

from telemetry.tools.console.storage.records import StoredLog
from telemetry.tools.console.storage.retention import BoundedQueue, SignalLimits

#: What the index takes for each trace (measured on CPython 3.11; bytes).
TRACE_OVERHEAD = 250

#: The lowest severity number of each level, as the log data model has it.
SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}


class LogStore(BoundedQueue[StoredLog]):
    """Keeps the newest log records and finds them by trace."""

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__(limits)
        # Lists, because most traces have few records and an empty deque takes ten times as much memory.
        self._by_trace: dict[bytes, list[StoredLog]] = {}

    def add(self, record: StoredLog) -> None:
        """Keep the record."""
        if record.trace_id:
            # Before the append: a limit smaller than this record evicts it at once.
            linked = self._by_trace.setdefault(record.trace_id, [])
            if not linked:
                self.charge(TRACE_OVERHEAD)
            linked.append(record)
        self.share(record.origin)
        self.append(record)

    def forget(self, record: StoredLog) -> None:
        self.release(record.origin)
        if record.trace_id:
            linked = self._by_trace[record.trace_id]
            linked.pop(0)  # both are in order of arrival
            if not linked:
                del self._by_trace[record.trace_id]
                self.charge(-TRACE_OVERHEAD)

    def latest(self, trace_id: bytes | None = None) -> Iterator[StoredLog]:
        """The records, the newest first; only those of one trace if its id is given."""
        return reversed(self) if trace_id is None else reversed(self._by_trace.get(trace_id, []))
