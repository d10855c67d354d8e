"""Dashboard: the state of the service, for its operators."""

from deploy.grafana.source.model import Dashboard, Panel, Query, Row
from deploy.grafana.source.objectives import OBJECTIVES
from deploy.grafana.source.parts import (
    DASHED,
    DOTTED,
    DURATION,
    ENVIRONMENT,
    MODE,
    OF_ROUTE,
    OF_SERVICE,
    RATE,
    ROUTE,
    SERVICE,
    SMALL_SHARE,
    STACKED,
    TRACE_COLUMNS,
    bad_from,
    by_mode,
    lines,
    or_zero,
    override,
    stat,
    status_colors,
    warn,
)

_FAILED = 'http_response_status_code=~"5.."'
# Requests to addresses that the service does not know have no route.
_NAMED_ROUTE = 'label_replace({}, "http_route", "(none)", "http_route", "^$")'


def _rate(suffix: str, by: str = "", matchers: str = OF_ROUTE) -> str:
    """Return the rate of a series of the requests' histogram, added up."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({DURATION}_{suffix}{{{matchers}}}{RATE}))"


def _by_route(query: str) -> str:
    return _NAMED_ROUTE.format(query)


_HEALTH = Row(
    "Is the service healthy?",
    [
        stat("How many requests are answered?", "Requests per second that were answered, /livez, /readyz and /metrics "
             "left out.", "reqps", _rate("count")),
        stat("What share of requests fails?", "Answers with a 5xx, of all. The objective allows 0.5% over 14 days.",
             "percentunit", f"({or_zero(_rate('count', matchers=f'{OF_ROUTE}, {_FAILED}'))}) / {_rate('count')}",
             thresholds=warn(0.005, 0.05), defaults={"decimals": 2}),
        stat("How long do the slowest 5% take?", "95th percentile of the duration, of all routes chosen above.", "s",
             f"histogram_quantile(0.95, {_rate('bucket', 'le')})", thresholds=warn(0.25, 0.5)),
        stat("How many alerts fire?", "Firing alerts of Prometheus, including those of the pipeline. "
             "Prometheus lists them at /alerts; docs/alerts.md explains what to do about each.", "none",
             or_zero('count(ALERTS{alertstate="firing"})'), thresholds=bad_from(1)),
    ],
)  # fmt: skip

_REQUESTS = Row(
    "Rate, errors, duration",
    [
        lines(
            "How many requests does each route get?",
            "Requests per second by method and route. (none): unknown paths.",
            "reqps",
            Query(
                _by_route(_rate("count", "http_request_method, http_route")), "{{http_request_method}} {{http_route}}"
            ),
        ),
        lines(
            "What is answered?",
            "Answers per second by status. A rise of 4xx is the clients' fault or an attack, of 5xx the service's.",
            "reqps",
            Query(_rate("count", "http_response_status_code"), "{{http_response_status_code}}"),
            custom=STACKED,
            overrides=status_colors(),
        ),
        lines(
            "Which routes fail?",
            "Share of answers with a 5xx, by route. The line is the objective's 0.5%.",
            "percentunit",
            Query(
                _by_route(
                    f"({_rate('count', 'http_route', f'{OF_ROUTE}, {_FAILED}')}"
                    f" or {_rate('count', 'http_route')} * 0) / {_rate('count', 'http_route')}"
                ),
                "{{http_route}}",
            ),
            custom=SMALL_SHARE,
            thresholds=bad_from(0.005),
        ),
        lines(
            "Which routes are slow?",
            "95th percentile of the duration, by route. The line is the objective's 0.5 s.",
            "s",
            Query(
                _by_route(f"histogram_quantile(0.95, {_rate('bucket', 'le, http_route')})"),
                "{{http_route}}",
                exemplars=True,
            ),
            thresholds=bad_from(0.5),
        ),
        Panel(
            "heatmap",
            "How are durations spread?",
            "Requests by duration: blue is few, red is many. The dots are single requests: click one and open its "
            "trace.",
            "s",
            [
                Query(
                    f"sum by (le) (increase({DURATION}_bucket{{{OF_ROUTE}}}{RATE}))",
                    "{{le}}",
                    exemplars=True,
                    options={"format": "heatmap"},
                )
            ],
        ),
        by_mode(
            "How long do requests take, by mode?",
            "Half of the requests (p50, dots), 95% (p95, line) and 99% (p99, dashes) take at most this. The points are "
            "single requests: click one and open its trace.",
            "s",
            *(
                Query(
                    f"histogram_quantile({share}, {_rate('bucket', 'le, export_mode')})",
                    f"{{{{export_mode}}}} {name}",
                    exemplars=name == "p95",
                )
                for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ),
            overrides=[
                override("/p50/", custom__lineStyle=DOTTED),
                override("/p99/", custom__lineStyle=DASHED),
            ],
        ),
    ],
)


_DATABASE = Row(
    "Database and users",
    [
        lines(
            "How long do database operations take?",
            "95th percentile of a statement's duration, by operation.",
            "s",
            Query(
                "histogram_quantile(0.95, sum by (le, db_operation_name) "
                f"(rate(db_client_operation_duration_seconds_bucket{{{OF_SERVICE}}}{RATE})))",
                "{{db_operation_name}}",
            ),
            width=8,
        ),
        by_mode(
            "What share of a request's time is the database's?",
            "Time in statements, of the time in requests. The rest is Python.",
            "percentunit",
            Query(
                f"sum by (export_mode) (rate(db_client_operation_duration_seconds_sum{{{OF_SERVICE}}}{RATE}))"
                f" / {_rate('sum', 'export_mode', OF_SERVICE)}",
                "{{export_mode}}",
            ),
            width=8,
        ),
        lines(
            "How many users are created, changed, deleted?",
            "Committed changes per minute, by the API and the admin.",
            "cpm",
            *(
                Query(f"sum(rate(users_{change}_total{{{OF_SERVICE}}}{RATE})) * 60", change)
                for change in ("created", "updated", "deleted")
            ),
            width=8,
        ),
    ],
)

_PROCESSES = Row(
    "Processes",
    [
        by_mode(
            "How much CPU do the workers use?",
            "Cores in use, user and system time. When all cores are in use the service is at its limit.",
            "suffix: cores",
            Query(
                f"sum by (export_mode) (rate(process_cpu_time_seconds_total{{{OF_SERVICE}}}{RATE}))",
                "{{export_mode}}",
            ),
            width=8,
            defaults={"decimals": 2},
        ),
        by_mode(
            "How much memory do the workers use?",
            "Resident memory; shared memory counts for each worker. A steady rise is a leak.",
            "bytes",
            Query(f"sum by (export_mode) (process_memory_usage_bytes{{{OF_SERVICE}}})", "{{export_mode}}"),
            width=8,
        ),
        by_mode(
            "How many workers are running, how many restarted?",
            "Running workers, and starts of workers within five minutes. A recycled worker is a start too; more than "
            "three for each worker in 15 minutes fire an alert.",
            "none",
            Query(f"sum by (export_mode) (telemetry_worker_count{{{OF_SERVICE}}})", "{{export_mode}} workers"),
            Query(
                f"sum by (export_mode) (increase(telemetry_worker_starts_total{{{OF_SERVICE}}}[5m]))",
                "{{export_mode}} restarted",
            ),
            width=8,
            defaults={"decimals": 0},
            overrides=[override("/restarted/", custom__drawStyle="bars", custom__fillOpacity=60)],
        ),
    ],
)

_RECENT = Row(
    "Recent errors",
    [
        Panel(
            "logs",
            "Which errors were logged?",
            "Django's records of answers from 400 on, and of a database that does not answer. Open a line: its "
            "trace id links to the trace.",
            "none",
            [
                Query(
                    '{service_name="$service", export_mode=~"$mode", deployment_environment_name=~"$environment"}'
                    ' | scope_name=~"django.request|userapi.problems"',
                    source="loki",
                )
            ],
            height=10,
        ),
        Panel(
            "table",
            "Which requests were refused or failed?",
            "The newest traces whose answer was 400 or more. Click a trace id to see what broke.",
            "none",
            [
                Query(
                    '{ resource.service.name = "$service" && resource.export.mode =~ `${mode:regex}` && kind = server'
                    " && span.http.response.status_code >= 400 } with (most_recent=true)",
                    source="tempo",
                    options={"tableType": "traces"},
                )
            ],
            overrides=TRACE_COLUMNS,
            height=10,
        ),
    ],
)

DASHBOARD = Dashboard(
    "user-api-service",
    "Service",
    "Rate, errors and duration of the service, its objectives, its database and its processes.",
    [SERVICE, MODE, ENVIRONMENT, ROUTE],
    [_HEALTH, _REQUESTS, OBJECTIVES, _DATABASE, _PROCESSES, _RECENT],
)
