"""A schema of the Prometheus Operator's ServiceMonitor and PodMonitor: the fields that we use, and no others.

Written by hand from the operator's reference (https://prometheus-operator.dev/docs/api-reference/api/): a field that is
new here is to be looked up there first.
"""

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_LABEL = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}
_DURATION = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}


def _record(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_LABELS = {"type": "object", "minProperties": 1, "additionalProperties": _TEXT}
_EXPRESSION = _record(
    ["key", "operator", "values"],
    key=_TEXT,
    operator={"enum": ["In", "NotIn"]},
    values={"type": "array", "items": _TEXT, "minItems": 1},
)
_SELECTOR = {
    **_record([], matchLabels=_LABELS, matchExpressions={"type": "array", "items": _EXPRESSION, "minItems": 1}),
    "minProperties": 1,
}
_RELABELING = _record(
    [],
    sourceLabels={"type": "array", "items": _LABEL, "minItems": 1},
    regex=_TEXT,
    targetLabel=_LABEL,
    replacement=_TEXT,
    action={"enum": ["replace", "keep", "drop", "labeldrop", "labelkeep", "labelmap"]},
)
_ENDPOINT = _record(
    ["port", "path", "interval"],
    port=_TEXT,
    path={"type": "string", "pattern": "^/"},
    interval=_DURATION,
    scrapeTimeout=_DURATION,
    authorization=_record(
        ["credentials"], type={"const": "Bearer"}, credentials=_record(["name", "key"], name=_TEXT, key=_TEXT)
    ),
    relabelings={"type": "array", "items": _RELABELING},
    metricRelabelings={"type": "array", "items": _RELABELING},
)


def _monitor(kind: str, endpoints: str) -> dict[str, Any]:
    spec = {
        "jobLabel": _TEXT,
        "selector": _SELECTOR,
        endpoints: {"type": "array", "items": _ENDPOINT, "minItems": 1},
    }
    return _record(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind={"const": kind},
        metadata=_record(["name", "namespace"], name=_TEXT, namespace=_TEXT, labels=_LABELS),
        spec=_record(["selector", endpoints], **spec),
    )


SCHEMAS = {
    "ServiceMonitor": _monitor("ServiceMonitor", "endpoints"),
    "PodMonitor": _monitor("PodMonitor", "podMetricsEndpoints"),
}
