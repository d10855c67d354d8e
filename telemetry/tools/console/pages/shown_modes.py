"""Which modes a page shows, in which order and colour."""

from collections.abc import Iterable

from telemetry.tools.console.storage.origin import UNKNOWN_MODE
from telemetry.tools.console.storage.store import Store

#: The modes of the service; each keeps its colour when the other is not there.
MODES = ("collector", "direct")
#: The end of the `service.name` of what `manage.py doctor` sends, which has no mode.
_DOCTOR = "-doctor"
#: The style sheet's colours of lines.
COLOURS = 8
_MOST_SERVICES = 200


def ordered(modes: Iterable[str]) -> list[str]:
    """The service's modes first, then others by name."""
    known = set(modes)
    return [mode for mode in MODES if mode in known] + sorted(known - set(MODES))


def shown_modes(store: Store) -> list[str]:
    """The modes of which something has arrived; "unknown" only for spans or log records of others than the doctor."""
    totals = store.totals()
    others = any(
        sender.mode == UNKNOWN_MODE
        and not sender.service.endswith(_DOCTOR)
        and sender.signals.keys() & {"traces", "logs"}
        for sender in store.senders()
    )
    return ordered(mode for mode in totals if mode != UNKNOWN_MODE or others)


def services_of(store: Store) -> list[str]:
    """The names of the services that have sent something."""
    return sorted({sender.service for sender in store.senders() if sender.service})[:_MOST_SERVICES]


def colour_of(mode: str, modes: Iterable[str]) -> int:
    """The number of a mode's colour; a mode that is not among `modes` has the first one after the service's."""
    known = (*MODES, *(name for name in ordered(modes) if name not in MODES))
    return known.index(mode) % COLOURS if mode in known else len(MODES)
