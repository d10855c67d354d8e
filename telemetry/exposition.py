"""The answer to a scrape: what all workers of this service run have counted, in the format that was asked for.

Any worker can answer for all: it reads the slot files of the others and waits for none of them.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from telemetry.accept import Format, choose_format
from telemetry.exposition_plan import Plan
from telemetry.prometheus_names import PrometheusSeries, Translation, label_value
from telemetry.series_key import SeriesKey
from telemetry.slot_reader import SlotReader, follow

_logger = logging.getLogger(__name__)

_REFUSED = "telemetry_series_refused"
_REFUSED_HELP = "Series that a worker could not keep, being over its limit or out of space"
# As the collector puts them on every series, so that one dashboard serves both modes.
_ON_EVERY_SERIES = ("service.name", "deployment.environment.name", "export.mode")
# The asked worker is any of them: what identifies one worker or process is no property of the target.
_OF_ONE_WORKER = ("service.instance.id", "process.", "thread.")


class Exposition:
    """Scrapes one state directory; keeps between two scrapes what does not change. Safe to use by many threads."""

    def __init__(
        self,
        directory: Path | str,
        resource_attributes: Mapping[str, Any],
        refresh: Callable[[], object] | None = None,
        *,
        created: bool = True,
    ) -> None:
        """``resource_attributes`` become target_info, except those of a single worker.

        Service, environment and export mode are labels of every series as well. ``refresh`` brings the asked worker's
        observable instruments up to date. ``created``: whether OpenMetrics has ``_created`` lines, which tell when a
        series was first counted by any worker.
        """
        self._directory = Path(directory)
        self._refresh = refresh
        given = dict(resource_attributes)
        self._translation = Translation({key: label_value(given[key]) for key in _ON_EVERY_SERIES if key in given})
        self._created = created
        kept = {key: value for key, value in given.items() if not key.startswith(_OF_ONE_WORKER)}
        self._target = self._translation.resource_labels(kept)
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._readers: list[SlotReader] = []
        self._series: dict[bytes, PrometheusSeries | None] = {}
        self._plan = self._new_plan()
        self._warned: set[str] = set()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Body and content type of an answer to a request with this Accept header.

        Raises FileNotFoundError if the state directory is gone: an empty answer would look like counters at zero.
        """
        format_ = choose_format(accept)
        openmetrics = format_ is Format.OPENMETRICS
        if self._refresh:
            self._refresh()
        with self._lock:
            self._read(exemplars=openmetrics)
            parts = [
                self._target_info(openmetrics=openmetrics),
                self._plan.render(openmetrics=openmetrics),
                self._refused(openmetrics=openmetrics),
            ]
        if openmetrics:
            parts.append("# EOF\n")
        return "".join(parts).encode(errors="replace"), format_.value

    def _read(self, *, exemplars: bool) -> None:
        self._readers, changed = follow(self._directory, self._readers, self._shown)
        for reader in self._readers:
            changed |= reader.read(self._buffer, exemplars=exemplars)
        if changed:
            self._plan = self._new_plan()
            for name in self._plan.conflicts - self._warned:
                _logger.warning("metric %s is not shown: another metric has its name in Prometheus", name)
            self._warned |= self._plan.conflicts

    def _new_plan(self) -> Plan:
        reserved = {"target", "target_info", _REFUSED, f"{_REFUSED}_total"}
        return Plan(self._readers, reserved=reserved, created=self._created)

    def _shown(self, encoded: bytes) -> PrometheusSeries | None:
        # Workers have most series in common: each key is parsed and kept once for all of them.
        if encoded not in self._series:
            try:
                self._series[encoded] = self._translation.series(SeriesKey.decode(encoded))
            except ValueError as error:
                _logger.warning("a series is not shown: %s", error)
                self._series[encoded] = None
        return self._series[encoded]

    def _target_info(self, *, openmetrics: bool) -> str:
        name, type_ = ("target", "info") if openmetrics else ("target_info", "gauge")
        return f"# HELP {name} Target metadata\n# TYPE {name} {type_}\ntarget_info{{{self._target}}} 1.0\n"

    def _refused(self, *, openmetrics: bool) -> str:
        name = _REFUSED if openmetrics else f"{_REFUSED}_total"
        lines = [f"# HELP {name} {_REFUSED_HELP}\n# TYPE {name} counter\n"]
        for index, reason in enumerate(("limit", "space")):
            total = sum(reader.refused[index] for reader in self._readers)
            lines.append(f"{_REFUSED}_total{{{self._translation.labels({'reason': reason})}}} {total}\n")
        return "".join(lines)
