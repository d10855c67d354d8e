"""The senders: each worker process with its resource, the time of its last record, and its start record."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from telemetry.tools.console.receiving.values import PlainValue, size_of
from telemetry.tools.console.storage.records import Resource, StoredLog

#: The logger of a worker's start record, and the beginning of its body.
SERVER_LOGGER = "telemetry.server"
_START = "Starting"
_MOST_SENDERS = 256
#: Larger resources and reports are not kept (bytes in memory).
LARGEST = 8 << 10
_SILENT_NS = 30 * 10**9


@dataclass(slots=True)
class Sender:
    """One process; times in nanoseconds since the epoch, in `signals` when each signal last arrived.

    `report` are the attributes of its start record, None if that never arrived; `report_ns` is when it started.
    """

    mode: str
    service: str
    instance: str
    resource: dict[str, PlainValue]
    first_ns: int
    last_ns: int
    signals: dict[str, int] = field(default_factory=dict)
    report: dict[str, PlainValue] | None = None
    report_ns: int = 0

    @property
    def slot(self) -> PlainValue:
        """The worker's slot, None if it was not reported."""
        return (self.report or {}).get("worker.slot")

    def is_silent(self, now_ns: int) -> bool:
        """Whether nothing has arrived from it for half a minute."""
        return now_ns - self.last_ns > _SILENT_NS


class Senders:
    """The known processes, at most 256: the one that has been silent longest is removed. Not thread-safe."""

    def __init__(self) -> None:
        self._senders: OrderedDict[Hashable, Sender] = OrderedDict()

    def note(self, resources: Iterable[Resource], signal: str, now_ns: int) -> None:
        """Note that a signal arrived from these resources."""
        for resource in resources:
            if resource.size <= LARGEST:
                self._sender(resource, now_ns).signals[signal] = now_ns

    def note_start(self, record: StoredLog, now_ns: int) -> None:
        """Keep a worker's report if the record is a start record."""
        if record.resource.size > LARGEST:
            return
        decoded = record.decode()
        if str(decoded.body).startswith(_START) and size_of(decoded.attributes) <= LARGEST:
            sender = self._sender(record.resource, now_ns)
            sender.report, sender.report_ns = decoded.attributes, decoded.time_ns

    def _sender(self, resource: Resource, now_ns: int) -> Sender:
        key = (resource.mode, resource.instance)
        if key not in self._senders:
            instance = str(resource.attributes.get("service.instance.id", ""))
            self._senders[key] = Sender(resource.mode, resource.service, instance, {}, now_ns, now_ns)
            if len(self._senders) > _MOST_SENDERS:
                self._senders.popitem(last=False)
        self._senders.move_to_end(key)
        sender = self._senders[key]
        sender.resource, sender.last_ns = resource.attributes, now_ns
        return sender

    def all(self) -> list[Sender]:
        """Return copies of the senders, by mode, service and instance."""
        copies = [replace(sender, signals=dict(sender.signals)) for sender in self._senders.values()]
        return sorted(copies, key=lambda sender: (sender.mode, sender.service, sender.instance))
