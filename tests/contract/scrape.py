"""What a scrape of `/metrics` becomes in Prometheus, by the scrape configuration of docs/signals.md."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import Metric

from tests.contract.translation import Sample
from tests.support.prometheus import Prometheus, scrape_configuration

_SUFFIX = {"counter": "_total", "info": "_info"}
# What Prometheus adds by itself, and what says which target was asked.
_OF_THE_SCRAPE = ("up", "scrape_")
_OF_THE_TARGET = ("job", "instance")


def relabelled(families: Iterable[Metric]) -> Iterator[Sample]:
    """Yield the samples of a scrape as Prometheus keeps them."""
    (job,) = scrape_configuration()["scrape_configs"]
    for family in families:
        name = family.name + _SUFFIX.get(family.type, "")
        for sample in family.samples:
            labels: dict[str, str] | None = {"__name__": sample.name, **sample.labels}
            for rule in job["metric_relabel_configs"]:
                labels = _relabel(labels, rule) if labels else None
            if labels:
                yield _sample(name, family.type, family.unit, labels)


def stored(prometheus: Prometheus, selector: str) -> Iterator[Sample]:
    """Yield the samples that a real Prometheus keeps of its target."""
    found = prometheus.series(selector)
    metadata = prometheus.metadata()  # asked last: of a family that is new, it is known before the series are
    families = {name + _SUFFIX.get(given["type"], ""): given for name, given in metadata.items()}
    for labels in found:
        name = labels["__name__"]
        if name.startswith(_OF_THE_SCRAPE):
            continue
        family = next(each for each in families if name == each or re.fullmatch(f"{each}_(bucket|sum|count)", name))
        own = {key: value for key, value in labels.items() if key not in _OF_THE_TARGET}
        yield _sample(family, families[family]["type"], families[family]["unit"], own)


def _sample(family: str, type_: str, unit: str, labels: dict[str, str]) -> Sample:
    own = {key: value for key, value in labels.items() if key != "__name__"}
    return Sample(family, "gauge" if type_ == "info" else type_, unit, labels["__name__"], own)


def _relabel(labels: dict[str, str], rule: dict[str, Any]) -> dict[str, str] | None:
    """Apply one rule; None drops the sample."""
    (source,) = rule["source_labels"]
    found = re.fullmatch(rule["regex"], labels.get(source, ""))
    if not found:
        return labels
    if rule.get("action") == "drop":
        return None
    return {**labels, rule["target_label"]: found.expand(rule["replacement"].replace("$", "\\"))}
