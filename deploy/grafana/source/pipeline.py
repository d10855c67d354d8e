"""Dashboard: every hop of the pipeline, in and out, for whoever looks for what is missing.

Each description says what to do when the panel is red. Components are scraped directly, so the page works while the
pipeline does not.
"""

from deploy.grafana.source.backends import LOKI, PROMETHEUS, TEMPO
from deploy.grafana.source.completeness import STORED
from deploy.grafana.source.model import Dashboard, Panel, Query, Row
from deploy.grafana.source.parts import (
    DASHED,
    DOTTED,
    ENVIRONMENT,
    MODE,
    OF_SERVICE,
    RATE,
    SDK_SIGNALS,
    SERVICE,
    SMALL_SHARE,
    bad_from,
    by_mode,
    lines,
    or_zero,
    override,
    queues,
    stat,
    warn,
)

_SIGNALS = {"spans": "spans", "log_records": "log records", "metric_points": "data points"}
# Jaeger is made of the same parts and has metrics of the same names.
_OF_ALLOY = '{component="alloy"}'
_UP_OR_DOWN = [
    {"type": "value", "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}}
]


def _each_signal(metric: str) -> list[Query]:
    """Return a query for each signal of an `otelcol_*` counter, `{}` in its name; 0 before the first event."""
    return [
        Query(_of_alloy(f"sum(rate({metric.format(key)}{_OF_ALLOY}{RATE}))"), name) for key, name in _SIGNALS.items()
    ]


def _of_alloy(query: str) -> str:
    return or_zero(query, "alloy")


def _either_signal(metric: str, name: str, matchers: str = "") -> list[Query]:
    """Return a query for spans and one for log records of an `otel_sdk_*` counter, `{}` in its name."""
    return [
        Query(
            f"sum by (export_mode) (rate({metric.format(signal)}{{{OF_SERVICE}{matchers}}}{RATE}))",
            f"{{{{export_mode}}}} {words} {name}".strip(),
        )
        for signal, words in SDK_SIGNALS.items()
    ]


def _lost_by_reason(signal: str) -> str:
    """Return what the workers lost each second by reason, without a line where nothing was."""
    queue = f"otel_sdk_processor_{signal}_processed_total"
    export = f"otel_sdk_exporter_{signal}_exported_total"
    of = f'{OF_SERVICE}, error_type!=""'
    return " or ".join(
        f'label_replace(sum by (export_mode, error_type) (rate({metric}{{{of}}}{RATE})), "where", "{where}", "", "")'
        for metric, where in ((queue, "queue"), (export, "export"))
    )


_OVERVIEW = Row(
    "Is anything down?",
    [
        Panel(
            "stat",
            "Does everything answer Prometheus?",
            "The last scrape of each target. If red: look at that component's log and at /targets of Prometheus, which "
            "has the error; nothing below is valid for a component that is down.",
            "none",
            [
                Query('min by (component) (up{component!=""})', "{{component}}"),
                Query('min by (job) (up{component=""})', "{{job}} (direct)"),
            ],
            width=16,
            height=5,
            thresholds=((None, "red"), (1, "green")),
            defaults={"mappings": _UP_OR_DOWN},
            options={"graphMode": "none", "colorMode": "background"},
        ),
        stat(
            "How many alerts fire?",
            "If red: /alerts of Prometheus names them, docs/alerts.md explains what to do about each.",
            "none",
            or_zero('count(ALERTS{alertstate="firing"})'),
            width=8,
            thresholds=bad_from(1),
        ),
    ],
)

_SERVICE = Row(
    "1. The service's workers",
    [
        by_mode(
            "What leaves the workers?",
            "Spans (line) and log records (dots) per second that a receiver accepted. If it is 0 under load: "
            "`manage.py telemetry --status` shows the endpoint and the last error of each signal.",
            "cps",
            *_either_signal("otel_sdk_exporter_{}_exported_total", "", ', error_type=""'),
            width=8,
            overrides=[override("/log/", custom__lineStyle=DOTTED)],
        ),
        lines(
            "What does the service lose, and why?",
            "Per second, by reason (docs/failures.md explains each); no line is no loss. If red: queue_full needs a "
            "larger spool (TELEMETRY_SPOOL_BYTES) or a faster receiver; for refused and rejected see the receiver's "
            "log, its limits and credentials.",
            "cps",
            Query(_lost_by_reason("span"), "{{export_mode}} spans: {{error_type}} ({{where}})"),
            Query(_lost_by_reason("log"), "{{export_mode}} log records: {{error_type}} ({{where}})"),
            Query("vector(0)", "nothing"),
            width=8,
            thresholds=bad_from(0.01),
            may_be_empty="nothing is lost",
        ),
        by_mode(
            "How often do the workers retry, and fail?",
            "Requests per second that repeat a failed one (line), and that fail (dashes). If red: the receiver is "
            "down, too slow, or refuses. What can be retried waits in the spool, the next panel, until that is full.",
            "cps",
            Query(
                f"sum by (export_mode) (rate(telemetry_exporter_retries_total{{{OF_SERVICE}}}{RATE}))"
                f" or sum by (export_mode) (telemetry_worker_count{{{OF_SERVICE}}}) * 0",
                "{{export_mode}} retries",
            ),
            Query(
                "sum by (export_mode) (rate(otel_sdk_exporter_operation_duration_seconds_count"
                f'{{{OF_SERVICE}, error_type!=""}}{RATE}))'
                f" or sum by (export_mode) (telemetry_worker_count{{{OF_SERVICE}}}) * 0",
                "{{export_mode}} failures",
            ),
            width=8,
            thresholds=bad_from(0.01),
            overrides=[override("/failures/", custom__lineStyle=DASHED)],
        ),
        by_mode(
            "How full is the spool?",
            "The space of waiting spans (line) and log records (dots), of what they may take. If red: the receiver "
            "is down or too slow; at 100% the oldest are dropped. TELEMETRY_SPOOL_BYTES and TELEMETRY_SPOOL_DIR give "
            "more room.",
            "percentunit",
            *queues(OF_SERVICE),
            custom=SMALL_SHARE,
            thresholds=bad_from(0.8),
            overrides=[override("/log/", custom__lineStyle=DOTTED)],
        ),
        by_mode(
            "How old is the newest count of the service?",
            "Both modes deliver one every 15 s. If red: in collector mode follow the panels below from the top; in "
            "direct mode look at /targets of Prometheus.",
            "s",
            Query(
                "time() - max by (export_mode) "
                f"(timestamp(http_server_request_duration_seconds_count{{{OF_SERVICE}}}))",
                "{{export_mode}}",
            ),
            thresholds=bad_from(60),
        ),
    ],
)

_ALLOY = Row(
    "2. Alloy (collector mode)",
    [
        lines(
            "What comes into Alloy?",
            "Items per second that its OTLP receiver accepted. If it is 0 while the workers send: the endpoint names "
            "another port or protocol.",
            "cps",
            *_each_signal("otelcol_receiver_accepted_{}_total"),
            width=8,
        ),
        lines(
            "What does Alloy refuse?",
            "Items per second. Refused is not lost: the workers retry. If red: the memory limit is reached, or a "
            "queue is full; look at memory and queues, and at the backends.",
            "cps",
            *_each_signal("otelcol_receiver_refused_{}_total"),
            width=8,
            thresholds=bad_from(0.01),
        ),
        lines(
            "What goes out of Alloy?",
            "Items per second that Tempo, Loki and Prometheus accepted. If it is below what comes in: it waits in the "
            "queues.",
            "cps",
            *_each_signal("otelcol_exporter_sent_{}_total"),
            Query(
                _of_alloy(f"sum(rate(prometheus_remote_storage_samples_total{_OF_ALLOY}{RATE}))"),
                "samples by remote write",
            ),
            width=8,
        ),
        lines(
            "What does Alloy lose?",
            "Items per second: sending was abandoned, or the queue had no room. If red: the backend refuses them "
            "permanently (Alloy's log has its answer), or was down for longer than the queue lasts.",
            "cps",
            *(
                Query(
                    _of_alloy(f"sum(rate(otelcol_exporter_{kind}_{signal}_total{_OF_ALLOY}{RATE}))"), f"{words} {name}"
                )
                for kind, name in (("send_failed", "given up"), ("enqueue_failed", "without room"))
                for signal, words in _SIGNALS.items()
            ),
            Query(
                _of_alloy(f"sum(rate(prometheus_remote_storage_samples_failed_total{_OF_ALLOY}{RATE}))"),
                "samples given up",
            ),
            width=8,
            thresholds=bad_from(0.01),
        ),
        lines(
            "How full are Alloy's queues on disk?",
            "Waiting bytes, of the capacity. If red: the backend is down or too slow; when it is full, "
            "Alloy refuses new data. A restart loses nothing.",
            "percentunit",
            Query(
                f"max by (component_id) (otelcol_exporter_queue_size{_OF_ALLOY} / otelcol_exporter_queue_capacity)",
                "{{component_id}}",
            ),
            width=8,
            # Minutes of an outage are a small part of the disk, and shall be seen.
            custom={"axisSoftMax": 0.0005},
            thresholds=warn(0.5, 0.9),
        ),
        lines(
            "How far is remote write behind?",
            "Time between the newest sample that Alloy holds and the newest that Prometheus accepted. If red: "
            "Prometheus is down or refuses; the write-ahead log keeps hours of it, as long as Alloy is not restarted.",
            "s",
            Query(
                "max by (component) (prometheus_remote_storage_queue_highest_timestamp_seconds"
                " - prometheus_remote_storage_queue_highest_sent_timestamp_seconds)",
                "{{component}}",
            ),
            width=8,
            thresholds=warn(30, 60),
        ),
        lines(
            "What waits for remote write?",
            "Samples in its shards, and samples retried after an error. If red: see the previous panel.",
            "none",
            Query(_of_alloy(f"sum(prometheus_remote_storage_samples_pending{_OF_ALLOY})"), "pending"),
            Query(
                _of_alloy(f"sum(rate(prometheus_remote_storage_samples_retried_total{_OF_ALLOY}{RATE}))"),
                "sent again each second",
            ),
            width=8,
        ),
        lines(
            "How much memory does Alloy use?",
            "Resident memory. At 75% of its container's limit it refuses new items. If it only rises: a backend is "
            "down and batches wait, or its limit is too small for the load.",
            "bytes",
            Query('sum(process_resident_memory_bytes{component="alloy"})', "Alloy"),
            width=8,
        ),
        stat(
            "Is Alloy's configuration active?",
            "Or how many components are not healthy, plus one if the last load of the configuration failed. If red: "
            "Alloy's page on port 12345 names the component and its error.",
            "none",
            "("
            + _of_alloy('sum(alloy_component_controller_running_components{health_type!="healthy"})')
            + ") + (1 - min(alloy_config_last_load_successful))",
            width=8,
            height=8,
            thresholds=bad_from(1),
            defaults={"mappings": [{"type": "value", "options": {"0": {"text": "yes", "color": "green"}}}]},
            options={"graphMode": "none"},
        ),
    ],
)

DASHBOARD = Dashboard(
    "user-api-pipeline",
    "Pipeline",
    "Each hop of the telemetry, in and out: read from top to bottom, the first red panel is where it stops.",
    [SERVICE, MODE, ENVIRONMENT],
    [_OVERVIEW, STORED, _SERVICE, _ALLOY, PROMETHEUS, TEMPO, LOKI],
)
