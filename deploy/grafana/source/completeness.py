"""Of the dashboard Pipeline: how much of what was recorded is stored, by deploy/prometheus/rules/completeness.yml."""

from deploy.grafana.source.model import Query, Row
from deploy.grafana.source.parts import OF_SERVICE, SMALL_SHARE, bad_from, lines, need, or_nothing

STORED = Row(
    "Is everything stored?",
    [
        lines(
            "How much of the last hour is stored?",
            "Of what the service recorded in the hour before each moment, the share that no hop has lost; what waits "
            "is not lost. If red: the panels beside it name the stage; `manage.py telemetry --audit` asks the "
            "backends.",
            "percentunit",
            Query(f"service:telemetry_stored:ratio1h{{{OF_SERVICE}}}", "{{export_mode}} {{telemetry_signal}}"),
            width=8,
            defaults={"max": 1, "decimals": 2},
            custom={"fillOpacity": 0},
            thresholds=need(0.99, 0.999),
        ),
        lines(
            "What did the service lose in the last hour?",
            "Items in the hour before each moment: without room in a journal, dropped in the queue, not taken by the "
            "export (of metrics: pushes or scrapes that failed). If red: the panel of losses by reason below says why.",
            "none",
            Query(
                f'service:telemetry_items:increase1h{{{OF_SERVICE}, stage!="recorded"}}',
                "{{export_mode}} {{telemetry_signal}}: {{stage}}",
            ),
            width=8,
            thresholds=bad_from(1),
        ),
        lines(
            "How much was lost behind the service?",
            "The share of the last hour, of all senders: given up by Alloy, above a limit of Tempo, or confirmed and "
            "never come in. If red: look at the rows of that component below, and at its log.",
            "percentunit",
            Query(or_nothing("pipeline:telemetry_lost:ratio1h", "hop"), "{{telemetry_signal}} {{hop}}"),
            width=8,
            custom=SMALL_SHARE,
            thresholds=bad_from(0.001),
        ),
    ],
)
