"""The text of a scrape; the constant text around each value is cached with its series.

Families are sorted by name. Series that are equal in Prometheus (of two scopes, or with attributes whose names become
equal) are merged.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.series import Buckets, Current, Exemplar, Series, newest, placed, rebucketed
from telemetry.exposition.names import Family, Translation, escape_help, escape_label, label_value, number
from telemetry.exposition.negotiation import Format, choose_format

logger = logging.getLogger(__name__)

# As the collector adds them to every series, so that one dashboard serves both modes.
_ON_EVERY_SERIES = ("service.name", "deployment.environment.name", "export.mode")
# Attributes of one process are no properties of the service.
_OF_ONE_PROCESS = ("process.", "thread.")
_INFINITY = float("inf")


class _Shown:
    """A series prepared for scrapes: its labels, and its lines with placeholders for the values."""

    __slots__ = ("created", "family", "labels", "lines", "with_exemplars")

    def __init__(self, family: Family, labels: str, bounds: tuple[float, ...] | None, start: int) -> None:
        self.family = family
        self.labels = labels
        self.created = f"{family.name}_created{_braces(labels)} {start / 1e9:.3f}\n" if family.type != "gauge" else ""
        name, braces = family.name, _braces(labels).replace("%", "%%")
        if bounds is None:
            total = "_total" if family.type == "counter" else ""
            self.lines = f"{name}{total}{braces} %s\n"
            self.with_exemplars = f"{name}{total}{braces} %s%s\n"
            return
        before = f"{name}_bucket{{{braces[1:-1]}{',' if labels else ''}le="
        buckets = [f'{before}"{limit}"}} %d.0' for limit in [*map(number, bounds), "+Inf"]]
        end = f"{name}_sum{braces} %s\n{name}_count{braces} %d.0\n"
        self.lines = "".join([f"{line}\n" for line in buckets]) + end
        self.with_exemplars = "".join([f"{line}%s\n" for line in buckets]) + end


class Exposition:
    """Renders the metrics of one service."""

    def __init__(self, aggregation: Aggregation, resource: Mapping[str, Any], *, created: bool = True) -> None:
        """`resource` becomes target_info; service, environment and export mode are also labels of every series.

        `created` is whether OpenMetrics contains `_created` lines, with the start time of each series.
        """
        self._aggregation = aggregation
        self._translation = Translation(
            {key: label_value(resource[key]) for key in _ON_EVERY_SERIES if key in resource}
        )
        kept = {key: value for key, value in resource.items() if not key.startswith(_OF_ONE_PROCESS)}
        self._target = self._translation.resource_labels(kept)
        self._created = created
        self._families: dict[Any, Family] = {}
        self._warned: set[str] = set()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return body and content type of the answer for this Accept header."""
        format_ = choose_format(accept)
        openmetrics = format_ is Format.OPENMETRICS
        name, kind = ("target", "info") if openmetrics else ("target_info", "gauge")
        text = [f"# HELP {name} Target metadata\n# TYPE {name} {kind}\ntarget_info{{{self._target}}} 1.0\n"]
        families, names = self._collect()
        for family in sorted(families, key=lambda each: each.name):
            created = openmetrics and self._created and f"{family.name}_created" not in names
            try:
                text += _family(family, families[family], openmetrics=openmetrics, created=created)
            except Exception as error:  # noqa: BLE001  (one metric must not stop the others)
                self._warn(family.name, f"it cannot be written ({type(error).__name__}: {error})")
        if openmetrics:
            text.append("# EOF\n")
        return "".join(text).encode(errors="replace"), format_.value

    def _collect(self) -> tuple[dict[Family, dict[str, list[Series]]], set[str]]:
        """Return the series by family and labels, which several may share, and all used sample names."""
        families: dict[Family, dict[str, list[Series]]] = {}
        by_name: dict[str, Family] = {}
        taken = {"target", "target_info"}
        for instrument, all_series in self._aggregation.metrics():
            try:
                family = self._families.get(instrument)
                if family is None:
                    family = self._families[instrument] = self._translation.family(*instrument[:4])
                if not family.name:
                    self._warn(instrument[1], "its name has no character that Prometheus allows")
                    continue
                first = by_name.get(family.name, family)
                names = family.sample_names()
                if first.type != family.type or (first is family and not names.isdisjoint(taken)):
                    self._warn(instrument[1], "another metric has its name in Prometheus")
                    continue
                shown = [(series.shown or self._show(series, first)).labels for series in all_series]
            except Exception as error:  # noqa: BLE001  (one metric must not stop the others)
                self._warn(str(instrument[1]), f"it cannot be translated ({type(error).__name__}: {error})")
                continue
            if first.name not in by_name:
                taken |= names
                by_name[first.name] = first
                families[first] = {}
            found = families[first]
            for series, labels in zip(all_series, shown, strict=True):
                if labels in found:
                    found[labels].append(series)
                else:
                    found[labels] = [series]
        return families, taken

    def _show(self, series: Series, family: Family) -> _Shown:
        bounds = series.bounds if isinstance(series, Buckets) else None
        labels = self._translation.labels_of(family, series.attributes)
        shown: _Shown = _Shown(family, labels, bounds, series.start)
        series.shown = shown
        return shown

    def _warn(self, name: str, reason: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            logger.warning("metric %s is not shown: %s", name, reason)


def _family(family: Family, series: Mapping[str, list[Series]], *, openmetrics: bool, created: bool) -> list[str]:
    """Return a family's text."""
    text = [_header(family, openmetrics=openmetrics)]
    for labels in sorted(series):
        text += _lines(series[labels], exemplars=openmetrics and family.type != "gauge")
        if created:
            text.append(min(series[labels], key=lambda each: each.start).shown.created)
    return text


def _header(family: Family, *, openmetrics: bool) -> str:
    """Return the lines HELP, TYPE and, in OpenMetrics, UNIT."""
    name, text = family.name, family.help
    if openmetrics:
        unit = f"# UNIT {name} {family.unit}\n" if family.unit and name.endswith(f"_{family.unit}") else ""
        return f"# HELP {name} {escape_label(text)}\n# TYPE {name} {family.type}\n{unit}"
    named = f"{name}_total" if family.type == "counter" else name
    return f"# HELP {named} {escape_help(text)}\n# TYPE {named} {family.type}\n"


def _lines(series: Sequence[Series], *, exemplars: bool) -> Iterator[str]:
    first = series[0]
    shown: _Shown = first.shown
    found = _exemplars(series) if exemplars else ()
    values = _values(series)
    if not any(found):
        yield shown.lines % values
        return
    texts = [f" # {_of_exemplar(exemplar)}" if exemplar else "" for exemplar in found]
    yield shown.with_exemplars % (*chain(*zip(values, texts, strict=False)), *values[len(texts) :])


def _values(series: Sequence[Series]) -> tuple[Any, ...]:
    """Return the values of a series' lines; for a histogram, cumulative buckets, sum and count."""
    first = series[0]
    if isinstance(first, Current):
        return (_number(first.merge([each.latest for each in series if isinstance(each, Current)])),)
    if not isinstance(first, Buckets):
        return (_number(sum(each.value for each in series)),)
    counts, total = first.counts, first.value
    for each in series[1:]:
        if isinstance(each, Buckets):
            more = rebucketed(each.counts, each.bounds, first.bounds)
            counts, total = [one + other for one, other in zip(counts, more, strict=True)], total + each.value
    buckets = tuple(accumulate(counts))
    return *buckets, _number(total), buckets[-1]


def _exemplars(series: Sequence[Series]) -> Sequence[Exemplar | None]:
    first = series[0]
    if len(series) == 1:
        return first.exemplars
    found = list(first.exemplars)
    for each in series[1:]:
        bounds = first.bounds if isinstance(first, Buckets) else ()
        for place, exemplar in placed(each.exemplars, bounds):
            found[place] = newest(found[place], exemplar)
    return found


def _of_exemplar(exemplar: Exemplar) -> str:
    value, time, trace_id, span_id = exemplar
    labels = f'trace_id="{trace_id.hex()}",span_id="{span_id.hex()}"' if trace_id and span_id else ""
    return f"{{{labels}}} {_number(value)} {time / 1e9:.3f}"


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    return repr(float(value)) if -_INFINITY < value < _INFINITY else number(value)
