"""What the console's views work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telemetry.tools.console.receiver import Receiver
    from telemetry.tools.console.scraper import Scraper
    from telemetry.tools.console.store import Store


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """The parts of one console; `allow_faults` lets the JSON API set the receiver's faults."""

    store: Store
    receiver: Receiver
    scraper: Scraper
    allow_faults: bool
