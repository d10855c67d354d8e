"""The latest log records, with filters; each has a link to its trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse
from django.views.decorators.http import require_safe

from telemetry.tools.console.logs import SEVERITIES
from telemetry.tools.console.pages.rendering import page, with_query
from telemetry.tools.console.pages.shown_modes import colour_of, services_of, shown_modes
from telemetry.tools.console.parameters import Parameters
from telemetry.tools.console.query import LOG_FIELDS

if TYPE_CHECKING:
    from django.http import HttpResponse

    from telemetry.tools.console.application import ConsoleRequest
    from telemetry.tools.console.records import LogRecord

_LISTED = 100
_MOST_LISTED = 500


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line: the record, the level that its severity belongs to, and its mode's colour."""

    record: LogRecord
    level: str
    colour: int

    @property
    def url(self) -> str:
        """The page of its trace, at its span; empty without a trace."""
        record = self.record
        return f"{reverse('traces-one', args=[record.trace_id])}#span-{record.span_id}" if record.trace_id else ""


@require_safe
def logs(request: ConsoleRequest) -> HttpResponse:
    """The latest log records that match."""
    parameters = Parameters(request, *LOG_FIELDS, "q", "limit", blank=True)
    limit = parameters.integer("limit", _LISTED, _MOST_LISTED)
    query = parameters.query(LOG_FIELDS)
    store = request.console.store
    modes = shown_modes(store)
    found = [record.decode() for record in query.find_logs(store.stored_logs(), limit + 1)]
    # They come in batches of several workers, each in its own order.
    rows = [
        LogRow(each, level_of(each), colour_of(each.resource.mode, modes))
        for each in sorted(found[:limit], key=lambda record: record.time_ns, reverse=True)
    ]
    more = with_query(reverse("logs"), **{**parameters.given, "limit": str(min(limit * 2, _MOST_LISTED))})
    context = {
        "rows": rows,
        "more": more if len(found) > limit and limit < _MOST_LISTED else None,
        "wanted": parameters.given,
        "severities": SEVERITIES,
        "filtered": bool(query.terms),
        "kept": store.retained()["log_records"],
        "modes": modes,
        "services": services_of(store),
    }
    return page(request, "logs", context)


def level_of(record: LogRecord) -> str:
    """The name of the record's severity, "unset" without one."""
    reached = [name for name, least in SEVERITIES.items() if record.severity_number >= least]
    return reached[-1] if reached else "unset"
