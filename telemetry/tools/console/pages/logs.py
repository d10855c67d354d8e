"""The latest log records, with filters; each has a link to its trace."""

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.asking.parameters import LOGS, Parameters
from telemetry.tools.console.asking.query import LOG_FIELDS
from telemetry.tools.console.pages.lists import MOST_LISTED, list_page
from telemetry.tools.console.pages.shown_modes import colour_of, shown_modes
from telemetry.tools.console.storage.logs import SEVERITIES
from telemetry.tools.console.storage.records import LogRecord, StoredLog

_LISTED = 100


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line: the record, its id on the page, the level that its severity belongs to, and its mode's colour."""

    record: LogRecord
    id: str
    level: str
    colour: int


@require_safe
def logs(request: ConsoleRequest) -> HttpResponse:
    """The latest log records that match."""
    parameters = Parameters(request, *LOGS, blank=True)
    limit, skip = parameters.listing(_LISTED, MOST_LISTED)
    query = parameters.query(LOG_FIELDS)
    store = request.console.store
    modes = shown_modes(store)
    found = query.find_logs(store.stored_logs(parameters.trace_id("trace_id")), limit + 1, skip=skip)
    # They come in batches of several workers, each in its own order.
    latest_first = sorted(found[:limit], key=lambda record: record.time_ns, reverse=True)
    context = {
        "rows": rows_of(latest_first, modes),
        "severities": SEVERITIES,
        "filtered": bool(query.terms),
        "kept": store.retained()["log_records"],
        "modes": modes,
    }
    return list_page(request, "logs", parameters, context, usual=_LISTED, more=len(found) > limit)


def rows_of(records: Iterable[StoredLog], modes: list[str]) -> list[LogRow]:
    """A line for each record, whose id stays the same when the page is renewed."""
    same: Counter[str] = Counter()
    rows = []
    for stored in records:
        name = f"log-{stored.time_ns}-{zlib.crc32(stored.raw):x}"
        same[name] += 1
        record = stored.decode()
        number = f"-{same[name]}" if same[name] > 1 else ""
        rows.append(LogRow(record, name + number, level_of(record), colour_of(record.resource.mode, modes)))
    return rows


def level_of(record: LogRecord) -> str:
    """The name of the record's severity, "unset" without one."""
    reached = [name for name, least in SEVERITIES.items() if record.severity_number >= least]
    return reached[-1] if reached else "unset"
