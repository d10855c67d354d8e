"""Dashboard: traces and logs, a starting point for exploring."""

from deploy.grafana.source.model import Dashboard, Panel, Query, Row
from deploy.grafana.source.parts import (
    ENVIRONMENT,
    MODE,
    ROUTE,
    SERVICE,
    STACKED,
    TRACE_COLUMNS,
    or_nothing,
    override,
    status_colors,
)

# Backquotes: in them nothing is an escape, and Grafana's way to write regular expressions has backslashes.
_OF = "resource.service.name = `$service` && resource.export.mode =~ `${mode:regex}`"
# A span has its route in its name, behind the method; an unknown address has none.
_REQUEST = f"{_OF} && kind = server && name =~ `.*${{route:regex}}`"
_LOGS = '{service_name="$service", export_mode=~"$mode", deployment_environment_name=~"$environment"}'
_ACCESS = f'{_LOGS} | scope_name="userapi.access" | http_route=~"$route"'
_WINDOW = "[$__interval]"
_SEVERITIES = [
    override("/INFO/", color={"mode": "fixed", "fixedColor": "green"}),
    override("/WARN/", color={"mode": "fixed", "fixedColor": "yellow"}),
    override("/ERROR|CRITICAL|FATAL/", color={"mode": "fixed", "fixedColor": "red"}),
]


def _traces(title: str, description: str, query: str, may_be_empty: str = "") -> Panel:
    return Panel(
        "table",
        title,
        f"{description} Click a trace id to open it.",
        "none",
        [Query(f"{query} with (most_recent=true)", source="tempo", options={"tableType": "traces"})],
        overrides=TRACE_COLUMNS,
        height=9,
        may_be_empty=may_be_empty,
    )


def _trace_metrics(title: str, description: str, unit: str, query: str) -> Panel:
    return Panel(
        "timeseries",
        title,
        f"{description} Computed by Tempo from the spans themselves (Grafana 11.2 or newer draws it).",
        unit,
        [Query(query, source="tempo", options={"metricsQueryType": "range"})],
    )


_TRACES = Row(
    "Traces",
    [
        _traces(
            "Which requests are the newest?",
            "The newest traces of the service.",
            f"{{ {_REQUEST} }}",
        ),
        _traces(
            "Which requests were refused or failed?",
            "Traces whose answer was 400 or more.",
            f"{{ {_REQUEST} && span.http.response.status_code >= 400 }}",
        ),
        _traces(
            "Which requests were slow?",
            "Traces of requests that took more than 50 ms: change the limit in the query.",
            f"{{ {_REQUEST} && duration > 50ms }}",
            may_be_empty="a quiet service answers each request within 50 ms",
        ),
        _traces(
            "Which requests wait for the database?",
            "Traces with a statement that took more than 5 ms.",
            f"{{ {_REQUEST} }} >> {{ span.db.system.name != nil && duration > 5ms }}",
            may_be_empty="a fast database answers each statement within 5 ms",
        ),
        _trace_metrics(
            "How long do requests take, by the spans?",
            "95th percentile of server spans, by mode.",
            "s",
            f"{{ {_REQUEST} }} | quantile_over_time(duration, 0.95) by (resource.export.mode)",
        ),
        _trace_metrics(
            "How many statements are made, by the spans?",
            "Spans of the database per second, by mode.",
            "cps",
            f"{{ {_OF} && span.db.system.name != nil }} | rate() by (resource.export.mode)",
        ),
        Panel(
            "nodeGraph",
            "Who calls whom?",
            "The service graph that Tempo draws from the spans: callers, the service, its database; rates and "
            "durations at the arrows.",
            "none",
            [
                Query(
                    "",
                    source="tempo",
                    options={"queryType": "serviceMap", "serviceMapQuery": '{export_mode=~"$mode"}'},
                )
            ],
            width=24,
            height=10,
        ),
    ],
)

_LOG = Row(
    "Logs",
    [
        Panel(
            "timeseries",
            "How much is logged, how severe is it?",
            "Lines per second, by their severity.",
            "cps",
            [Query(f"sum by (severity_text) (rate({_LOGS} {_WINDOW}))", "{{severity_text}}", source="loki")],
            custom=STACKED,
            overrides=_SEVERITIES,
            interval="30s",
        ),
        Panel(
            "timeseries",
            "What is answered, by the access records?",
            "Requests per second by status.",
            "reqps",
            [
                Query(
                    f"sum by (http_response_status_code) (rate({_ACCESS} {_WINDOW}))",
                    "{{http_response_status_code}}",
                    source="loki",
                )
            ],
            custom=STACKED,
            overrides=status_colors(),
            interval="30s",
        ),
        Panel(
            "timeseries",
            "Which routes are slow, by the access records?",
            "95th percentile of the duration by route.",
            "s",
            [
                Query(
                    f"quantile_over_time(0.95, {_ACCESS} | unwrap http_server_request_duration {_WINDOW})"
                    " by (http_route)",
                    "{{http_route}}",
                    source="loki",
                )
            ],
            interval="30s",
        ),
        Panel(
            "timeseries",
            "Which exceptions are there?",
            "Unhandled exceptions per second by type; 0 where there is none.",
            "cps",
            [
                Query(
                    or_nothing(
                        f'sum by (exception_type) (rate({_LOGS} | exception_type != "" {_WINDOW}))', "exception_type"
                    ),
                    "{{exception_type}}",
                    source="loki",
                )
            ],
            custom={"axisSoftMax": 0.1},
            interval="30s",
        ),
        Panel(
            "logs",
            "What does the service log?",
            "All lines, the newest first. Open one to see its attributes; the trace id links to its trace.",
            "none",
            [Query(_LOGS, source="loki")],
            height=12,
        ),
        Panel(
            "logs",
            "What went wrong?",
            "Lines of warnings and errors, and access records of answers with a 5xx.",
            "none",
            [
                Query(
                    f'{_LOGS} | severity_text=~"WARN|WARNING|ERROR|CRITICAL|FATAL" or http_response_status_code >= 500',
                    source="loki",
                )
            ],
            height=12,
        ),
    ],
)

DASHBOARD = Dashboard(
    "user-api-explore",
    "Traces and logs",
    "Traces and log lines as a starting point; each panel's menu opens Explore with its query.",
    [SERVICE, MODE, ENVIRONMENT, ROUTE],
    [_TRACES, _LOG],
)
