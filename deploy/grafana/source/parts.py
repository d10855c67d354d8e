"""What several dashboards have in common: variables, selectors, colours of the modes, usual panels."""

from collections.abc import Sequence
from typing import Any

from deploy.grafana.source.model import Json, Panel, Query, Thresholds, Variable

DURATION = "http_server_request_duration_seconds"

SERVICE = Variable(
    "service", "Service", f"label_values({DURATION}_count, service_name)", every=False, default="user-api"
)
ENVIRONMENT = Variable(
    "environment",
    "Environment",
    f'label_values({DURATION}_count{{service_name="$service"}}, deployment_environment_name)',
)
MODE = Variable("mode", "Mode", f'label_values({DURATION}_count{{service_name="$service"}}, export_mode)')
ROUTE = Variable("route", "Route", f'label_values({DURATION}_count{{service_name="$service"}}, http_route)')

# Never job or instance: they name the scrape in direct mode and the service in collector mode (docs/signals.md).
OF_SERVICE = 'service_name="$service", export_mode=~"$mode", deployment_environment_name=~"$environment"'
OF_ROUTE = f'{OF_SERVICE}, http_route=~"$route"'
# Both modes, whatever is chosen elsewhere: they are what is compared.
OF_BOTH = 'service_name="$service", deployment_environment_name=~"$environment"'
RATE = "[$__rate_interval]"
RANGE = "[$__range]"

COLLECTOR, DIRECT = "collector", "direct"
# The last that fits counts: "collector with Alloy" is Alloy's.
_MODE_COLORS = {f"^{COLLECTOR}": "blue", f"^{DIRECT}": "orange", "Alloy$": "purple"}


def warn(yellow: float, red: float) -> Thresholds:
    """Return thresholds for a value that is better when it is small."""
    return ((None, "green"), (yellow, "yellow"), (red, "red"))


def need(red_below: float, yellow_below: float) -> Thresholds:
    """Return thresholds for a value that is better when it is great."""
    return ((None, "red"), (red_below, "yellow"), (yellow_below, "green"))


def bad_from(red: float) -> Thresholds:
    """Return thresholds for a value that must stay below `red`."""
    return ((None, "green"), (red, "red"))


def override(pattern: str, **properties: Any) -> Json:
    """Return an override of the fields whose name matches `pattern`; `__` in a property's name is a dot."""
    named = [{"id": name.replace("__", "."), "value": value} for name, value in properties.items()]
    return {"matcher": {"id": "byRegexp", "options": pattern}, "properties": named}


def mode_colors() -> list[Json]:
    """Return overrides that give each mode, and Alloy, the same colour in every panel."""
    return [override(f"/{name}/", color={"mode": "fixed", "fixedColor": color}) for name, color in _MODE_COLORS.items()]


# By the first digit; the frequent ones have shades of their own. The last that fits counts.
_STATUS_COLORS = {
    "2": "green", "201": "light-green", "204": "dark-green", "3": "blue", "4": "yellow", "404": "orange",
    "409": "super-light-yellow", "5": "red",
}  # fmt: skip


def status_colors() -> list[Json]:
    """Return overrides that give answers a colour by their status."""
    return [
        override(f"/^{status}/", color={"mode": "fixed", "fixedColor": color})
        for status, color in _STATUS_COLORS.items()
    ]


def lines(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Return a panel of lines over time."""
    return Panel("timeseries", title, description, unit, queries, **more)


def stat(title: str, description: str, unit: str, query: str, **more: Any) -> Panel:
    """Return a panel with one number, a quarter of the page wide."""
    size: Json = {"width": 6, "height": 5}
    return Panel("stat", title, description, unit, [Query(query)], **(size | more))


def by_mode(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    """Return a panel of lines over time, each mode in its colour; without areas, which would cover each other."""
    own: Sequence[Json] = more.pop("overrides", ())
    custom: Json = {"fillOpacity": 0} | more.pop("custom", {})
    return lines(title, description, unit, *queries, overrides=[*mode_colors(), *own], custom=custom, **more)


# As the SDK names them in its metrics, and in words.
SDK_SIGNALS = {"span": "spans", "log": "log records"}
DOTTED: Json = {"fill": "dot", "dash": [2, 6]}
DASHED: Json = {"fill": "dash", "dash": [10, 6]}
# The axis of a share that is often 0: from 0 to 1%, or to what there is.
SMALL_SHARE: Json = {"axisSoftMax": 0.01}
STACKED: Json = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}


# Of tables of traces, in pixels; the name of the first span has the rest.
TRACE_COLUMNS = [
    override("/^(traceID|Trace ID)$/", custom__width=150),
    override("/^(startTime|Start time)$/", custom__width=170),
    override("/^(traceService|Service)$/", custom__width=90),
    override("/^(traceDuration|Duration)$/", custom__width=90),
]


def each_mode(query: str, name: str = "", *, exemplars: bool = False) -> Query:
    """Return a query whose series are named after their mode."""
    return Query(query, f"{{{{export_mode}}}} {name}".strip(), exemplars=exemplars)


def queues(matchers: str) -> list[Query]:
    """Return how full the service's spool is, by mode: the space of what waits, of what it may take."""
    return [
        each_mode(
            f'sum by (export_mode) (telemetry_spool_usage_bytes{{{matchers}, telemetry_signal="{signal}"}})'
            f' / sum by (export_mode) (telemetry_spool_limit_bytes{{{matchers}, telemetry_signal="{signal}"}})',
            words,
        )
        for signal, words in (("traces", "spans"), ("logs", "log records"))
    ]


def or_zero(query: str, component: str = "") -> str:
    """Return the query with 0 where it finds nothing: for counters that appear with their first event.

    Where a `component` is named, it is 0 only while that answers Prometheus.
    """
    return f"{query} or {_zero(component)}"


def or_nothing(query: str, label: str, component: str = "") -> str:
    """Return the query with a series at 0 whose label says `nothing`: for losses by reason. `component` as above."""
    return f'{query} or label_replace({_zero(component)}, "{label}", "nothing", "", "")'


def _zero(component: str) -> str:
    return f'max(up{{component="{component}"}} == 1) * 0' if component else "vector(0)"
