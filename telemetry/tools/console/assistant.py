"""A console's JSON API as tools for assistants, by the Model Context Protocol over standard input and output.

Needs the package's extra `mcp`. Each answer is a JSON object of at most 40,000 characters; what its lists, objects and
texts leave out is counted beside them, and `more` says whether other traces or log records match.
"""
# ruff: noqa: A002, PLR0917 (names that assistants see, and give)

import json
import logging
import os
import subprocess
import sys
from itertools import islice
from typing import Annotated, Any, Literal
from urllib.parse import quote

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from telemetry.tools.backends import Alloy, BackendError, Console, Grafana, Jaeger, Loki, Prometheus, Tempo

_LONGEST_ANSWER = 40_000
_DOCTOR_SECONDS = 300
_SERVERS = (Alloy, Console, Grafana, Jaeger, Loki, Prometheus, Tempo)
_INSTRUCTIONS = (
    "Telemetry of running services: traces, log records and metrics, as far as the console keeps them. Begin with "
    'list_services. A filter is a list of terms, all of which have to match: `http.route=/users status=error "text"`, '
    "`duration>200ms` (traces), `severity>=warn` (log records). Times are ISO 8601 in UTC."
)

Filter = Annotated[str, Field(description="Terms such as http.route=/users status=error duration>200ms; empty: all")]
Count = Annotated[int, Field(ge=1, le=100, description="How many at most")]
Skip = Annotated[int, Field(ge=0, le=1_000_000, description="How many to leave out, to read on")]
Window = Annotated[Literal["1", "5", "15", "30"], Field(description="The last so many minutes")]
Time = Annotated[str, Field(description="ISO 8601 in UTC; empty: any")]


def bounded(answer: dict[str, Any]) -> str:
    """Return the answer as JSON, with its largest parts cut until it is short enough."""
    text = json.dumps(answer, ensure_ascii=False)
    while len(text) > _LONGEST_ANSWER:
        answer = _cut(answer, _LONGEST_ANSWER / len(text))
        text = json.dumps(answer, ensure_ascii=False)
    return text


def _cut(whole: dict[str, Any], share: float, *, is_answer: bool = True) -> dict[str, Any]:
    """Return the object with its largest list, object or text cut to about this share, and what is left out counted.

    The last object in a list of the answer is cut itself, as long as there is anything to cut.
    """
    parts = {name: value for name, value in whole.items() if isinstance(value, list | dict | str) and value}
    if not parts:
        return {}
    name = max(parts, key=lambda name: len(json.dumps(parts[name])))
    part = parts[name]
    last = part[0] if is_answer and isinstance(part, list) and len(part) == 1 else None
    if isinstance(last, dict) and (less := _cut(last, share, is_answer=False)):
        return {**whole, name: [less]}
    kept = min(max(int(len(part) * share), 1), len(part) - 1)
    left_out = whole.get(f"{name}_left_out", 0) + len(part) - kept
    if isinstance(part, dict):
        part = dict(islice(part.items(), kept))
    else:
        # The latest points are the last ones.
        part = part[len(part) - kept :] if name == "points" else part[:kept]
    return {**whole, name: part, f"{name}_left_out": left_out}


class Tools:
    """What assistants can ask the console at `url`: their descriptions are the methods' first lines."""

    def __init__(self, url: str) -> None:
        self._console = Console(url)

    def _ask(self, path: str, **parameters: object) -> str:
        given = {name.rstrip("_"): value for name, value in parameters.items() if value}
        try:
            return bounded(self._console.get_json(path, given))
        except BackendError as error:
            raise ToolError(str(error)) from None

    def list_services(self) -> str:
        """The services that have sent something: mode, processes, signals and when each came last."""
        return self._ask("/api/services")

    def search_traces(
        self,
        filter: Filter = "",
        sort: Literal["start", "duration"] = "start",
        from_time: Time = "",
        to_time: Time = "",
        limit: Count = 20,
        skip: Skip = 0,
    ) -> str:
        """Traces that match, the latest or the longest first: id, root span, service, start, duration, status."""
        return self._ask("/api/traces", q=filter, sort=sort, from_=from_time, to=to_time, limit=limit, skip=skip)

    def read_trace(self, trace_id: Annotated[str, Field(pattern="^[0-9a-fA-F]{32}$")]) -> str:
        """All spans of one trace with their attributes and events, and its log records."""
        return self._ask(f"/api/traces/{trace_id}")

    def search_logs(
        self, filter: Filter = "", from_time: Time = "", to_time: Time = "", limit: Count = 20, skip: Skip = 0
    ) -> str:
        """Log records that match, the latest first, with attributes and the id of their trace."""
        return self._ask("/api/logs", q=filter, from_=from_time, to=to_time, limit=limit, skip=skip)

    def list_metrics(self) -> str:
        """The names of the metrics, with unit, type and description."""
        return self._ask("/api/metrics")

    def query_metric(
        self,
        name: Annotated[str, Field(min_length=1)],
        labels: Annotated[str, Field(description="Terms such as http.route=/users; empty: all series")] = "",
        points: Annotated[int, Field(ge=1, le=1000, description="The latest points of each series")] = 5,
    ) -> str:
        """The series of one metric with their latest points."""
        return self._ask(f"/api/metrics/{quote(name, safe='')}", q=labels, points=points)

    def compare_modes(self, window_minutes: Window = "5") -> str:
        """Both modes side by side: requests per second, failures, durations, freshness, what was delivered and lost."""
        return self._ask("/api/modes", window=window_minutes)

    def list_calls(self, window_minutes: Window = "5") -> str:
        """Which service calls which: calls per second, share of errors, 95th percentile."""
        return self._ask("/api/calls", window=window_minutes)

    def run_doctor(self) -> str:
        """Follow one request from the service through every hop to the backends; where it stops, and what to change."""
        command = [sys.executable, sys.argv[0], "doctor", "--json"]
        try:
            ended = subprocess.run(  # noqa: S603 (our own command)
                command,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=_DOCTOR_SECONDS,
                check=False,
            )
            return bounded(json.loads(ended.stdout))
        except subprocess.TimeoutExpired:
            raise ToolError(f"the doctor has not ended within {_DOCTOR_SECONDS} seconds") from None
        except ValueError:
            raise ToolError(f"the doctor failed: {ended.stderr[-1000:]}") from None

    def _environment(self) -> dict[str, str]:
        """The doctor's environment: it asks this console, unless variables name servers."""
        named = any(os.environ.get(kind.variable) for kind in _SERVERS)
        return {**os.environ} if named else {**os.environ, Console.variable: self._console.url}


def server(url: str) -> MCPServer:
    """The tools as a server, which `run` lets answer until its input ends."""
    found = MCPServer("telemetry-console", instructions=_INSTRUCTIONS, log_level="ERROR")
    # The assistant receives the reason for a refusal.
    logging.getLogger("mcp").setLevel(logging.WARNING)
    tools = Tools(url)
    for name, tool in vars(Tools).items():
        if not name.startswith("_"):
            found.add_tool(tool.__get__(tools))
    return found
