"""Of the dashboard Service: the objectives, from the recording rules in deploy/prometheus/rules/slo.yml."""

from deploy.grafana.source.model import Panel, Query, Row
from deploy.grafana.source.parts import DASHED, DOTTED, OF_SERVICE, by_mode, need, override, warn

_ALLOWED = {"errors": ("Availability", 0.005), "slow": ("Latency", 0.01)}


def _budget(kind: str) -> Panel:
    name, allowed = _ALLOWED[kind]
    words = "without a 5xx" if kind == "errors" else "within 0.5 s"
    return Panel(
        "bargauge",
        f"{name}: how much of the budget is left?",
        f"{1 - allowed:.1%} of the requests of 14 days shall be answered {words}; what may miss that is the budget. "
        "At 0 the objective is missed: deploy nothing but fixes.",
        "percentunit",
        [
            Query(
                f"1 - service:http_request_{kind}:ratio_rate14d{{{OF_SERVICE}}} / {allowed}",
                "{{export_mode}}",
                instant=True,
            )
        ],
        width=6,
        thresholds=need(0, 0.25),
        defaults={"min": 0, "max": 1, "displayName": "${__field.labels.export_mode}"},
    )


def _burn(kind: str) -> Panel:
    name, allowed = _ALLOWED[kind]
    return by_mode(
        f"{name}: how fast is the budget used?",
        "1 uses it up in exactly 14 days. An alert fires at 6.72 for an hour (2% of the budget), 2.8 for six hours, "
        "1.4 for a day. Of 5 minutes (dots), an hour (line) and six hours (dashes).",
        "none",
        *(
            Query(f"service:http_request_{kind}:ratio_rate{window}{{{OF_SERVICE}}} / {allowed}",
                  f"{{{{export_mode}}}} {window}")
            for window in ("5m", "1h", "6h")
        ),
        width=18,
        thresholds=warn(1, 6.72),
        overrides=[
            override("/5m/", custom__lineStyle=DOTTED),
            override("/6h/", custom__lineStyle=DASHED),
        ],
    )  # fmt: skip


OBJECTIVES = Row(
    "Objectives: 99.5% without a 5xx, 99% within 0.5 s",
    [_budget("errors"), _burn("errors"), _budget("slow"), _burn("slow")],
)
