"""Of the dashboard Collector vs direct: what arrives of the requests, and what the backends take in."""

from deploy.grafana.source.model import Panel, Query, Row
from deploy.grafana.source.parts import (
    COLLECTOR,
    DASHED,
    DIRECT,
    DOTTED,
    DURATION,
    OF_BOTH,
    RANGE,
    RATE,
    SDK_SIGNALS,
    SMALL_SHARE,
    bad_from,
    by_mode,
    each_mode,
    lines,
    override,
    queues,
)

_REQUESTS = f"sum by (export_mode) (rate({DURATION}_count{{{OF_BOTH}}}{RATE}))"
_SERVER_SPANS = 'service="$service", span_kind="SPAN_KIND_SERVER"'
_LINES = '{service_name="$service", deployment_environment_name=~"$environment"} | scope_name="userapi.access"'


def _lost(signal: str) -> str:
    """Return items lost a second by mode: 0 where workers run and nothing is lost."""
    metrics = (f"otel_sdk_processor_{signal}_processed_total", f"otel_sdk_exporter_{signal}_exported_total")
    lost = " or ".join(f'rate({metric}{{{OF_BOTH}, error_type!=""}}{RATE})' for metric in metrics)
    return f"sum by (export_mode) ({lost}) or sum by (export_mode) (telemetry_worker_count{{{OF_BOTH}}}) * 0"


def _stored(mode: str) -> list[Query]:
    """Return what a mode's requests became over the whole time range."""
    chosen = f'export_mode="{mode}"'
    return [
        Query(
            f"sum(increase({DURATION}_count{{{OF_BOTH}, {chosen}}}{RANGE}))", f"{mode}: requests counted", instant=True
        ),
        Query(
            f"sum(increase(traces_spanmetrics_calls_total{{{_SERVER_SPANS}, {chosen}}}{RANGE}))",
            f"{mode}: their spans in Tempo",
            instant=True,
        ),
        Query(
            f"sum(count_over_time({_LINES.replace('}', ', ' + chosen + '}', 1)} {RANGE}))",
            f"{mode}: their lines in Loki",
            source="loki",
            instant=True,
        ),
    ]


# Grafana 9.4 does not give a number of Loki its query's legend.
_NAMED_LINES = [
    {
        "matcher": {"id": "byFrameRefID", "options": ref},
        "properties": [
            {"id": "displayName", "value": f"{mode}: their lines in Loki"},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": color}},
        ],
    }
    for ref, mode, color in (("C", COLLECTOR, "blue"), ("F", DIRECT, "orange"))
]

KEPT = Row(
    "What arrives",
    [
        Panel(
            "bargauge",
            "Is each request stored as count, span and line?",
            "Requests that the workers counted, against their spans in Tempo and their access records in Loki, over "
            "the time chosen above. The bars of a mode are equally long if nothing is lost; counts are estimates, so "
            "ignore differences below 2%, or after a start within the time range. With sampling there are fewer. "
            "Spans that arrive later than 30 s, after an outage of Tempo, are stored but not counted here.",
            "none",
            [*_stored(COLLECTOR), *_stored(DIRECT)],
            defaults={"decimals": 0, "min": 0},
            overrides=[
                override("/^collector/", color={"mode": "fixed", "fixedColor": "blue"}),
                override("/^direct/", color={"mode": "fixed", "fixedColor": "orange"}),
                *_NAMED_LINES,
            ],
        ),
        by_mode(
            "Do spans and lines keep up with the requests?",
            "Per second: requests counted (line), server spans in Tempo (dashes), access records in Loki (dots). A gap "
            "that remains is a loss; one that fills later is a queue.",
            "cps",
            each_mode(_REQUESTS, "requests"),
            each_mode(
                f"sum by (export_mode) (rate(traces_spanmetrics_calls_total{{{_SERVER_SPANS}}}{RATE}))",
                "spans",
            ),
            Query(
                f"sum by (export_mode) (rate({_LINES} [1m]))",
                "{{export_mode}} lines",
                source="loki",
            ),
            overrides=[
                override("/spans/", custom__lineStyle=DASHED),
                override("/lines/", custom__lineStyle=DOTTED),
            ],
        ),
        by_mode(
            "How many spans does the service lose?",
            "Spans per second that the workers dropped, for any reason. The reasons are on the page Pipeline.",
            "cps",
            each_mode(_lost("span")),
            width=8,
            thresholds=bad_from(0.01),
        ),
        by_mode(
            "How many log records does the service lose?",
            "Log records per second that the workers dropped, for any reason. They are still on standard "
            "output as well.",
            "cps",
            each_mode(_lost("log")),
            width=8,
            thresholds=bad_from(0.01),
        ),
        by_mode(
            "How full is the spool?",
            "The space of spans (line) and log records (dots) that wait for their backend, of what they may take. At "
            "100% the oldest are dropped.",
            "percentunit",
            *queues(OF_BOTH),
            width=8,
            custom=SMALL_SHARE,
            thresholds=bad_from(0.8),
            overrides=[override("/log/", custom__lineStyle=DOTTED)],
        ),
        by_mode(
            "How old is the newest count?",
            "Age of the newest sample of the requests: dashboards lag by that much. Both modes deliver one every "
            "15 s; one that is a minute old is missing.",
            "s",
            each_mode(f"time() - max by (export_mode) (timestamp({DURATION}_count{{{OF_BOTH}}}))"),
            thresholds=bad_from(60),
        ),
        by_mode(
            "How long do spans and log records wait in the service?",
            "Spans (line) and log records (dots): mean time in the spool: items waiting, by items "
            "leaving per second. The network adds to it, and in collector mode Alloy's batching, about a second.",
            "s",
            *(
                each_mode(
                    f"sum by (export_mode) (otel_sdk_processor_{signal}_queue_size{{{OF_BOTH}}})"
                    f" / sum by (export_mode) (rate(otel_sdk_processor_{signal}_processed_total{{{OF_BOTH}}}{RATE}))",
                    name,
                )
                for signal, name in SDK_SIGNALS.items()
            ),
            overrides=[override("/log/", custom__lineStyle=DOTTED)],
        ),
    ],
)

BACKENDS = Row(
    "What the backends take in",
    [
        lines(
            "How many items does each backend take in?",
            "Per second, from both modes and all other senders: spans (Tempo), lines (Loki) and, on the right, "
            "samples (Prometheus).",
            "cps",
            Query(f"sum(rate(tempo_distributor_spans_received_total{RATE}))", "Tempo: spans"),
            Query(f"sum(rate(loki_distributor_lines_received_total{RATE}))", "Loki: lines"),
            Query(f"sum(rate(prometheus_tsdb_head_samples_appended_total{RATE}))", "Prometheus: samples"),
            overrides=[override("/samples/", custom__axisPlacement="right")],
        ),
        lines(
            "How many bytes does each backend take in?",
            "Bytes per second before compression, from both modes and all other senders.",
            "Bps",
            Query(f"sum(rate(tempo_distributor_bytes_received_total{RATE}))", "Tempo"),
            Query(f"sum(rate(loki_distributor_bytes_received_total{RATE}))", "Loki"),
        ),
    ],
)
