"""Dashboard: what each mode costs, keeps and loses, under the same load."""

from deploy.grafana.source.arrival import BACKENDS, KEPT
from deploy.grafana.source.model import Dashboard, Query, Row
from deploy.grafana.source.parts import (
    COLLECTOR,
    DASHED,
    DURATION,
    ENVIRONMENT,
    OF_BOTH,
    RATE,
    ROUTE,
    SERVICE,
    by_mode,
    each_mode,
    lines,
    mode_colors,
    override,
)

_OF_COLLECTOR = f'{OF_BOTH}, export_mode="{COLLECTOR}"'
_OF_ROUTE = f'{OF_BOTH}, http_route=~"$route"'
_REQUESTS = f"sum by (export_mode) (rate({DURATION}_count{{{OF_BOTH}}}{RATE}))"
_ALLOY_CPU = 'sum(rate(process_cpu_seconds_total{component="alloy"}' + RATE + "))"


def _quantile(share: float, name: str, *, exemplars: bool = False) -> Query:
    buckets = f"sum by (le, export_mode) (rate({DURATION}_bucket{{{_OF_ROUTE}}}{RATE}))"
    return each_mode(f"histogram_quantile({share}, {buckets})", name, exemplars=exemplars)


_LOAD = Row(
    "The requests",
    [
        by_mode(
            "Is the load the same?",
            "Requests per second of the routes chosen above. Compare the rest only where the lines coincide.",
            "reqps",
            each_mode(f"sum by (export_mode) (rate({DURATION}_count{{{_OF_ROUTE}}}{RATE}))"),
            width=8,
        ),
        by_mode(
            "How long does a request take, usually?",
            "Median of the duration. The modes differ by microseconds: `manage.py compare` measures that.",
            "s",
            _quantile(0.5, "p50"),
            width=8,
        ),
        by_mode(
            "How long do the slowest take?",
            "95th (line) and 99th (dashes) percentile of the duration. The dots are single requests: click one "
            "and open its trace.",
            "s",
            _quantile(0.95, "p95", exemplars=True),
            _quantile(0.99, "p99"),
            width=8,
            overrides=[override("/p99/", custom__lineStyle=DASHED)],
        ),
    ],
)

_CPU = "sum by (export_mode) (rate(process_cpu_time_seconds_total{%s}%s))"
_COST = Row(
    "What it costs",
    [
        by_mode(
            "How much CPU does a request need?",
            "CPU time of the workers for each request, telemetry included. The dashes add Alloy's, as if it served "
            "only this service. It includes the CPU of health checks: under low load the figure is too high.",
            "s",
            each_mode(f"{_CPU % (OF_BOTH, RATE)} / {_REQUESTS}"),
            each_mode(
                f"({_CPU % (_OF_COLLECTOR, RATE)} + on () group_left () {_ALLOY_CPU}) / {_REQUESTS}",
                "with Alloy",
            ),
            overrides=[override("/Alloy/", custom__lineStyle=DASHED)],
        ),
        by_mode(
            "How much memory does it need?",
            "Resident memory of the workers (shared memory counts for each), and of Alloy.",
            "bytes",
            each_mode(f"sum by (export_mode) (process_memory_usage_bytes{{{OF_BOTH}}})"),
            Query('sum(process_resident_memory_bytes{component="alloy"})', "Alloy"),
            width=6,
        ),
        by_mode(
            "How much memory does a worker need?",
            "Resident memory for each worker.",
            "bytes",
            each_mode(
                f"sum by (export_mode) (process_memory_usage_bytes{{{OF_BOTH}}})"
                f" / sum by (export_mode) (telemetry_worker_count{{{OF_BOTH}}})"
            ),
            width=6,
        ),
        lines(
            "What is Alloy's share?",
            "Cores in use: by the workers of the collector mode, and by Alloy.",
            "suffix: cores",
            Query(_CPU % (_OF_COLLECTOR, RATE), "collector: workers"),
            Query(_ALLOY_CPU, "Alloy"),
            width=8,
            custom={"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40},
            defaults={"decimals": 2},
            overrides=mode_colors(),
        ),
        by_mode(
            "How long do exports take?",
            "95th percentile of the duration of a request to the backend or to Alloy, failed ones included; a retry "
            "is a request of its own. No request of a user waits for it.",
            "s",
            each_mode(
                "histogram_quantile(0.95, sum by (le, export_mode) "
                f"(rate(otel_sdk_exporter_operation_duration_seconds_bucket{{{OF_BOTH}}}{RATE})))"
            ),
            width=8,
        ),
        by_mode(
            "How many exports are made?",
            "Requests per second to the backend or to Alloy, all signals, failed ones included. In direct mode metrics "
            "are scraped, not sent.",
            "ops",
            each_mode(
                f"sum by (export_mode) (rate(otel_sdk_exporter_operation_duration_seconds_count{{{OF_BOTH}}}{RATE}))"
            ),
            width=8,
        ),
        by_mode(
            "How long does it take to read the metrics?",
            "95th percentile of what a worker needs to collect its metrics, for a push or a scrape.",
            "s",
            each_mode(
                "histogram_quantile(0.95, sum by (le, export_mode) "
                f"(rate(otel_sdk_metric_reader_collection_duration_seconds_bucket{{{OF_BOTH}}}{RATE})))"
            ),
            width=8,
        ),
        by_mode(
            "How long does a scrape take?",
            "From Prometheus' request to the end of the response. Only direct mode is scraped; /metrics covers all "
            "workers, so it grows with routes and workers.",
            "s",
            Query('max(scrape_duration_seconds{component=""})', "direct"),
            width=8,
        ),
        by_mode(
            "How many samples does a scrape return?",
            "Samples of one scrape. In collector mode, series that the workers push instead.",
            "none",
            Query('sum(scrape_samples_scraped{component=""})', "direct scraped"),
            each_mode(
                "sum by (export_mode) "
                f"(rate(otel_sdk_exporter_metric_data_point_exported_total{{{OF_BOTH}}}{RATE})) * 15",
                "data points pushed in 15 s",
            ),
            width=8,
        ),
    ],
)


DASHBOARD = Dashboard(
    "user-api-compare",
    "Collector vs direct",
    "Both modes side by side under the same load: what a request costs, what telemetry costs, what arrives.",
    [SERVICE, ENVIRONMENT, ROUTE],
    [_LOAD, _COST, KEPT, BACKENDS],
)
