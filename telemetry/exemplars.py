"""Which measurements become exemplars: the latest of a bucket, or of a counter."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import Exemplar, ExemplarReservoir
from opentelemetry.util.types import Attributes


class LatestExemplars(ExemplarReservoir):
    """Keeps the latest measurement of each bucket, as the slot files do; without `boundaries`, the latest of all.

    A measurement is only put down when it is offered, and looked at when the reader asks.
    """

    def __init__(self, boundaries: Sequence[float] = (), **_: Any) -> None:
        self._boundaries = boundaries
        # A store into a list's place is atomic: no lock.
        self._latest: list[tuple[float, int, Attributes, Context] | None] = [None] * (len(boundaries) + 1)

    def offer(self, value: float, time_unix_nano: int, attributes: Attributes, context: Context) -> None:
        self._latest[bisect_left(self._boundaries, value)] = value, time_unix_nano, attributes, context

    def collect(self, point_attributes: Attributes) -> list[Exemplar]:
        found, self._latest = self._latest, [None] * len(self._latest)
        return [_exemplar(*offered, point_attributes or {}) for offered in found if offered]


def latest_exemplars(_aggregation: type) -> Callable[..., ExemplarReservoir]:
    """Return what makes the reservoirs of an aggregation, in the shape that a View wants."""
    return LatestExemplars


def _exemplar(value: float, time: int, attributes: Attributes, context: Context, of_point: Any) -> Exemplar:
    span = trace.get_current_span(context).get_span_context()
    known = span.is_valid
    filtered = {key: value for key, value in (attributes or {}).items() if key not in of_point}
    return Exemplar(filtered, value, time, span.span_id if known else None, span.trace_id if known else None)
