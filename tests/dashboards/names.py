"""Which metrics and labels a PromQL query uses, and which there are."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import promql_parser as promql

from tests.contract.translation import PROMOTED, family_name, label_name
from tests.dashboards.queries import components, contract, rules

_HISTOGRAM = ("_bucket", "_sum", "_count")
# Labels that Prometheus gives to every series that it scrapes, and what prometheus.yml adds to those of the stack.
_OF_SCRAPE = {"job", "instance", "component"}
_PUSHED = {"job", "instance"}
# What rules group the counts of the signals by.
_OF_SIGNALS = {"telemetry_signal"}
_MADE_BY_RULES = {"ALERTS": {"alertname", "alertstate", "severity"}}


def used(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric that the query selects, with the labels that it matches.

    The labels that it groups or joins by belong to every metric below, unless a function made them.
    """
    yield from _walk(promql.parse(text), set())


def _walk(node: promql.Expr, labels: set[str]) -> Iterator[tuple[str, set[str]]]:
    match node:
        case promql.VectorSelector():
            matched = {matcher.name for matcher in node.matchers.matchers}
            assert node.name, f"a selector without a name: {node.prettify()}"
            yield node.name, matched | labels
        case promql.MatrixSelector():
            yield from _walk(node.vector_selector, labels)
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from _walk(node.expr, labels)
        case promql.AggregateExpr():
            by = node.modifier.labels if node.modifier and node.modifier.type == promql.AggModifierType.By else []
            yield from _walk(node.expr, labels | set(by))
        case promql.Call():
            made: set[str] = set()
            if node.func.name == "label_replace":
                target = node.args[1]
                assert isinstance(target, promql.StringLiteral)
                made = {target.val}
            for argument in node.args:
                yield from _walk(argument, labels - made)
        case promql.BinaryExpr():
            yield from _walk(node.lhs, labels)
            yield from _walk(node.rhs, labels)
        case promql.NumberLiteral() | promql.StringLiteral():
            return
        case _:
            raise TypeError(f"{node!r} is no known part of PromQL")


@cache
def known() -> dict[str, set[str]]:
    """Return every metric that there is, with its labels."""
    found: dict[str, set[str]] = defaultdict(set)
    for part in (_of_service(), _of_components(), _of_rules(), _MADE_BY_RULES):
        for name, labels in part.items():
            found[name] |= labels
    return dict(found)


def _of_service() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    promoted = {label_name(key) for key in PROMOTED}
    for name, metric in contract()["metrics"].items():
        keys = {pair.partition("=")[0] for series in metric["series"] for pair in series.split(" ") if "=" in pair}
        labels = {label_name(key) for key in keys} | promoted | _PUSHED
        family = family_name(name, metric["unit"], metric["type"].replace("-", "_"))
        assert family == metric["in Prometheus"], f"{name}: the contract says {metric['in Prometheus']}"
        if metric["type"] == "histogram":
            found |= {family + suffix: labels | ({"le"} if suffix == "_bucket" else set()) for suffix in _HISTOGRAM}
        else:
            found[family] = labels
    return found


def _of_components() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, metrics in components().items():
        own = set() if name in {"prometheus itself", "user-api in failures"} else _OF_SCRAPE
        for metric, labels in metrics.items():
            found[metric] |= {*labels, *own}
    return dict(found)


def _of_rules() -> dict[str, set[str]]:
    promoted = {label_name(key) for key in PROMOTED}
    found: dict[str, set[str]] = defaultdict(set)
    for _, rule in rules():
        if "record" in rule:
            found[rule["record"]] |= promoted | set(rule.get("labels", ())) | _OF_SIGNALS
    return found
