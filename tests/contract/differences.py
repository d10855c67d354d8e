"""One tree of two modes: where they differ, both values and the reason stand at that place."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from tests.contract.round import MODES
from tests.contract.snapshot import SETS

UNEXPLAINED = "UNEXPLAINED: settle it, or give the reason in tests/contract/differences.py"
ABSENT = "(absent)"
_COLLECTOR, _DIRECT = MODES

# A place in the tree (parts joined with " / ", * for any text), and why the modes differ there.
_PUSHED = "in direct mode metrics are scraped: no exporter pushes them"
_FAMILY = "prometheus / families / "
REASONS = {
    "resource / export.mode": "names the mode",
    "prometheus / on every series / 0 / export_mode": "names the mode",
    "* / attributes / telemetry.mode": "names the mode",
    "* / attributes / telemetry.metrics": _PUSHED,
    f"{_FAMILY}otel_sdk_exporter_metric_data_point_*": _PUSHED,
    f"{_FAMILY}otel_sdk_exporter_operation_duration_seconds / series": _PUSHED,
    f"{_FAMILY}otel_sdk_metric_reader_collection_duration_seconds / series": "the reader's name says how it is read",
    f"{_FAMILY}telemetry_spool_*_bytes / series": _PUSHED,
}


def merge(collector: Any, direct: Any) -> Any:
    """Return what is common to both trees, with `differs` wherever they do."""
    return _merge("", collector, direct)


def unexplained(tree: Any) -> list[str]:
    """Return the places of differences that have no reason."""
    return [place for place, reason in _reasons(tree, "") if reason == UNEXPLAINED]


def unused_reasons(tree: Any) -> list[str]:
    """Return the reasons that nothing needs any more."""
    places = [place for place, _ in _reasons(tree, "")]
    return [pattern for pattern in REASONS if not any(fnmatchcase(place, pattern) for place in places)]


def _merge(place: str, collector: Any, direct: Any) -> Any:
    if collector == direct:
        return collector
    if isinstance(collector, dict) and isinstance(direct, dict):
        keys = [*collector, *(key for key in direct if key not in collector)]
        return {key: _merge(_below(place, key), collector.get(key, ABSENT), direct.get(key, ABSENT)) for key in keys}
    if isinstance(collector, list) and isinstance(direct, list):
        if place.rpartition(" / ")[2] in SETS:
            return _merge_sets(place, collector, direct)
        if len(collector) == len(direct):
            pairs = enumerate(zip(collector, direct, strict=True))
            return [_merge(_below(place, str(index)), *pair) for index, pair in pairs]
    return {"differs": {"because": _reason(place), _COLLECTOR: collector, _DIRECT: direct}}


def _merge_sets(place: str, collector: list[str], direct: list[str]) -> Any:
    only_collector = [item for item in collector if item not in direct]
    only_direct = [item for item in direct if item not in collector]
    merged: dict[str, Any] = {"both": [item for item in collector if item in direct]}
    if only_collector:
        merged["differs in collector"] = {"because": _reason(place), _COLLECTOR: only_collector}
    if only_direct:
        merged["differs in direct"] = {"because": _reason(place), _DIRECT: only_direct}
    return merged


def _below(place: str, key: str) -> str:
    return f"{place} / {key}" if place else key


def _reason(place: str) -> str:
    return next((reason for pattern, reason in REASONS.items() if fnmatchcase(place, pattern)), UNEXPLAINED)


def _reasons(tree: Any, place: str) -> list[tuple[str, str]]:
    if isinstance(tree, Mapping):
        found = [(place, tree["because"])] if "because" in tree else []
        for key, value in tree.items():
            below = place if key.startswith("differs") else _below(place, key)
            found += _reasons(value, below)
        return found
    if isinstance(tree, list):
        return [pair for index, value in enumerate(tree) for pair in _reasons(value, _below(place, str(index)))]
    return []
