"""Of the dashboard Pipeline: the rows of the backends."""

from deploy.grafana.source.model import Query, Row
from deploy.grafana.source.parts import RATE, bad_from, lines, or_nothing, or_zero, warn

PROMETHEUS = Row(
    "3. Prometheus",
    [
        lines(
            "How long do scrapes take?",
            "By target. If red: the target is overloaded; after 10 s the scrape is aborted and its values are lost.",
            "s",
            Query('max by (component) (scrape_duration_seconds{component!=""})', "{{component}}"),
            Query(
                'max by (job) (scrape_duration_seconds{component=""})',
                "{{job}} (direct)",
            ),
            width=8,
            thresholds=warn(1, 2),
        ),
        lines(
            "What does Prometheus take in?",
            "Samples per second, scraped and written. If it falls: look for a target that is down, or at remote write.",
            "cps",
            Query(f"sum(rate(prometheus_tsdb_head_samples_appended_total{RATE}))", "samples"),
            width=8,
        ),
        lines(
            "What does Prometheus refuse?",
            "Samples per second: too old, out of order, or twice with different values. If red: a clock is wrong, or "
            "two services have the same name and instance id.",
            "cps",
            Query(f"sum(rate(prometheus_tsdb_too_old_samples_total{RATE}))", "too old"),
            Query(f"sum(rate(prometheus_target_scrapes_sample_out_of_order_total{RATE}))", "out of order"),
            Query(f"sum(rate(prometheus_target_scrapes_sample_duplicate_timestamp_total{RATE}))", "twice"),
            width=8,
            thresholds=bad_from(0.01),
        ),
        lines(
            "How many series are there?",
            "Series in memory. If it rises without end: an attribute holds ids or raw paths; "
            "/tsdb-status of Prometheus names the label.",
            "none",
            Query("sum(prometheus_tsdb_head_series)", "series"),
            width=8,
        ),
        lines(
            "How large are the blocks and the write-ahead log?",
            "Bytes on disk. Blocks are removed by age and size: docs/stack.md has the limits. If the write-ahead log "
            "only rises: compaction fails, and Prometheus' log has the reason.",
            "bytes",
            Query("sum(prometheus_tsdb_storage_blocks_bytes)", "blocks"),
            Query("sum(prometheus_tsdb_wal_storage_size_bytes)", "write-ahead log"),
            width=8,
        ),
        lines(
            "Do the rules work?",
            "Evaluations of recording and alerting rules that fail, per second. If red: /rules of Prometheus shows the "
            "error; alerts may not fire meanwhile.",
            "cps",
            Query(f"sum(rate(prometheus_rule_evaluation_failures_total{RATE}))", "failures"),
            width=8,
            thresholds=bad_from(0.001),
        ),
    ],
)

TEMPO = Row(
    "4. Tempo",
    [
        lines(
            "What comes into Tempo?",
            "Spans per second. If it is 0 while Alloy or the workers send: its receiver listens elsewhere.",
            "cps",
            Query(f"sum(rate(tempo_distributor_spans_received_total{RATE}))", "spans"),
            width=8,
        ),
        lines(
            "What does Tempo discard?",
            "Spans per second, by reason. If red: a limit is reached (trace_too_large, live_traces_exceeded, "
            "rate_limited): raise it in Tempo's overrides, or sample.",
            "cps",
            Query(
                or_nothing(f"sum by (reason) (rate(tempo_discarded_spans_total{RATE}))", "reason", "tempo"),
                "{{reason}}",
            ),
            width=8,
            thresholds=bad_from(0.01),
        ),
        lines(
            "Does Tempo derive metrics from spans?",
            "Spans per second that became metrics, and those that were too old for it. If they differ: spans come "
            "later than 30 s, and the service graph misses them.",
            "cps",
            Query(f"sum(rate(tempo_metrics_generator_spans_received_total{RATE}))", "spans"),
            Query(or_zero(f"sum(rate(tempo_metrics_generator_spans_discarded_total{RATE}))", "tempo"), "too old"),
            width=8,
        ),
    ],
)

LOKI = Row(
    "5. Loki",
    [
        lines(
            "What comes into Loki?",
            "Lines per second. If it is 0 while Alloy or the workers send: the path is not /otlp.",
            "cps",
            Query(f"sum(rate(loki_distributor_lines_received_total{RATE}))", "lines"),
            width=8,
        ),
        lines(
            "What does Loki discard?",
            "Lines per second, by reason. If red: a limit is reached (rate_limited, line_too_long, "
            "structured_metadata_too_large): raise it in limits_config.",
            "cps",
            Query(
                or_nothing(f"sum by (reason) (rate(loki_discarded_samples_total{RATE}))", "reason", "loki"),
                "{{reason}}",
            ),
            width=8,
            thresholds=bad_from(0.01),
        ),
        lines(
            "How full is the disk?",
            "The disk of Loki's write-ahead log; Docker's volumes share one disk. If red: remove "
            "old images and volumes, or shorten the retention of Prometheus, Tempo and Loki.",
            "percentunit",
            Query("max(loki_ingester_wal_disk_usage_percent)", "used"),
            width=8,
            thresholds=warn(0.8, 0.9),
            defaults={"max": 1},
        ),
    ],
)
