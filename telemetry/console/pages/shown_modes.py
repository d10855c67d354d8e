"""Which modes a page shows, in which order and colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.console.origin import UNKNOWN_MODE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telemetry.console.store import Store

#: The modes of the service; each keeps its colour when the other is not there.
MODES = ("collector", "direct")


def ordered(modes: Iterable[str]) -> list[str]:
    """The service's modes first, then others by name."""
    known = set(modes)
    return [mode for mode in MODES if mode in known] + sorted(known - set(MODES))


def shown_modes(store: Store) -> list[str]:
    """The modes of which something has arrived; "unknown" only if it has spans or log records."""
    totals = store.totals()
    return ordered(mode for mode, total in totals.items() if mode != UNKNOWN_MODE or total.spans or total.log_records)


def colour_of(mode: str, modes: Iterable[str]) -> int:
    """The number of a mode's colour."""
    if mode in MODES:
        return MODES.index(mode)
    return len(MODES) + ordered(set(modes) - set(MODES)).index(mode)
