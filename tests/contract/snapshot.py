"""A round as a tree of plain values in a stable order, and such trees as text."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from telemetry.tools.console.storage.records import LogRecord, Span
from tests.contract import normal, scrape, translation
from tests.contract.round import SERVICE, STEPS, Round
from tests.contract.translation import Sample

ON_EVERY_SERIES = ("deployment_environment_name", "export_mode", "service_name")
OUTSIDE = "outside of any trace"
# Lists of them are sets, and are held against each other member by member.
SETS = ("series", "labels")


def snapshot(round_: Round) -> dict[str, Any]:
    """Return what a round showed to the receivers of its signals, in the names that both modes have in common."""
    return {
        "resource": normal.attributes(resource_of(round_)),
        "requests": _requests(round_),
        "logs outside of any trace": _records(
            record for record in round_.records if not record.trace_id and record.resource.service == SERVICE
        ),
        "prometheus": prometheus(prometheus_samples(round_)),
    }


def metrics(round_: Round) -> dict[str, Any]:
    """Return the metrics of a round in the names of OpenTelemetry, which a scrape does not show."""
    found: dict[str, dict[str, Any]] = {}
    for series, point in round_.otlp:
        instrument = series.instrument
        metric = found.setdefault(
            instrument.name,
            {
                "type": instrument.type.replace("_", "-"),
                "unit": instrument.unit,
                "description": " ".join(instrument.description.split()),
                "in Prometheus": translation.family_name(instrument.name, instrument.unit, instrument.type),
            },
        )
        if "bounds" in point.data:
            metric["bounds"] = " ".join(map(translation.bucket_limit, point.data["bounds"]))
        metric.setdefault("series", set()).add(_pairs(series.attributes))
    return {name: {**found[name], "series": sorted(found[name]["series"])} for name in sorted(found)}


def prometheus_samples(round_: Round) -> list[Sample]:
    """Return the samples that Prometheus has of the round, whichever way they took."""
    if round_.scraped:
        return list(scrape.relabelled(round_.scraped))
    resource = resource_of(round_)
    points = [sample for series, point in round_.otlp for sample in translation.samples(series, point, resource)]
    return [translation.target_info(resource), *points]


def resource_of(round_: Round) -> dict[str, Any]:
    """Return the attributes of the resource that sent the round; the greeter and the worker have others."""
    items: list[Span | LogRecord] = [*round_.spans, *round_.records]
    resources: list[dict[str, Any]] = [item.resource.attributes for item in items if item.resource.service == SERVICE]
    assert all(resource == resources[0] for resource in resources)
    return resources[0]


def _requests(round_: Round) -> dict[str, Any]:
    spans: dict[str, list[Span]] = defaultdict(list)
    records: dict[str, list[LogRecord]] = defaultdict(list)
    for span in round_.spans:
        spans[round_.step_of(span.trace_id)].append(span)
    for record in round_.records:
        records[round_.step_of(record.trace_id)].append(record)
    # Nothing of the round may be in a trace that no step began.
    assert set(spans) <= set(round_.statuses), set(spans)
    return {
        step.title: {
            "request": f"{step.method} {step.path}",
            "status": round_.statuses[step.title],
            "spans": _tree(spans[step.title]),
            "logs": _records(records[step.title]),
        }
        for step in STEPS
    }


def _tree(spans: list[Span]) -> list[dict[str, Any]]:
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start_ns):
        children[span.parent_span_id if span.parent_span_id in known else ""].append(span)

    def branch(span: Span) -> dict[str, Any]:
        shown = _span(span)
        below = [branch(child) for child in children[span.span_id]]
        return {**shown, "children": below} if below else shown

    return [branch(span) for span in children[""]]


def _span(span: Span) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": normal.text(span.name),
        "kind": span.kind,
        "scope": span.scope.name,
        "status": span.status,
    }
    if span.resource.service != SERVICE:
        shown["service"] = span.resource.service
    if span.status_message:
        shown["status message"] = normal.text(span.status_message)
    shown["attributes"] = normal.attributes(span.attributes)
    if span.events:
        shown["events"] = [
            {"name": event.name, "attributes": normal.attributes(event.attributes)} for event in span.events
        ]
    if span.links:
        shown["links"] = [normal.attributes(link.attributes) for link in span.links]
    return shown


def _records(records: Iterable[LogRecord]) -> list[dict[str, Any]]:
    return [_record(record) for record in sorted(records, key=lambda record: record.time_ns)]


def _record(record: LogRecord) -> dict[str, Any]:
    return {
        **({} if record.resource.service == SERVICE else {"service": record.resource.service}),
        "logger": record.scope.name,
        "severity": f"{record.severity} ({record.severity_number})",
        "body": normal.text(str(record.body)),
        "attributes": normal.attributes(record.attributes),
    }


def prometheus(samples: list[Sample]) -> dict[str, Any]:
    """Return what a dashboard can ask Prometheus for."""
    constants = {tuple(sample.labels.get(key, "") for key in ON_EVERY_SERIES) for sample in samples}
    families: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        families[sample.family].append(sample)
    return {
        "on every series": [dict(zip(ON_EVERY_SERIES, values, strict=True)) for values in sorted(constants)],
        "families": {name: _family(families[name]) for name in sorted(families)},
    }


def _family(samples: list[Sample]) -> dict[str, Any]:
    first = samples[0]
    assert {(sample.type, sample.unit) for sample in samples} == {(first.type, first.unit)}
    shown: dict[str, Any] = {"type": first.type, "unit": first.unit}
    suffixes = sorted({sample.name.removeprefix(first.family) for sample in samples} - {""})
    if suffixes:
        shown["samples"] = " ".join(suffixes)
    limits = {sample.labels["le"] for sample in samples if "le" in sample.labels}
    if limits:
        shown["le"] = " ".join(sorted(limits, key=float))
    own = [
        {key: value for key, value in sample.labels.items() if key not in (*ON_EVERY_SERIES, "le")}
        for sample in samples
    ]
    if first.family == "target_info":
        shown["labels"] = sorted({key for labels in own for key in labels})
    else:
        shown["series"] = sorted({_pairs(labels) for labels in own})
    return shown


def _pairs(attributes: Mapping[str, Any]) -> str:
    shown = (f"{key}={normal.value(key, attributes[key])}" for key in sorted(attributes))
    return " ".join(shown) or "(no attributes)"


def to_text(tree: Mapping[str, Any]) -> str:
    """Return a tree as YAML, its keys in their own order."""
    text: str = yaml.safe_dump(dict(tree), sort_keys=False, width=110, allow_unicode=True)
    return text


def from_text(text: str) -> dict[str, Any]:
    """Return the tree of a text."""
    tree: dict[str, Any] = yaml.safe_load(text)
    return tree
