"""`manage.py console --mcp`, asked by the client of the Model Context Protocol's own SDK."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from telemetry.tools.console.server import Console
from telemetry.tools.management.commands.console import Command
from tests.support.service import ROOT, free_port
from tests.tools.console.client import (
    SPAN_ID,
    TRACE_ID,
    attributes,
    logs,
    many_ids,
    one_span,
    post,
    requests_total,
    traces,
)
from tests.tools.console.test_command import ANY_PORT, parsed

TOOLS = {
    "list_services", "search_traces", "read_trace", "search_logs", "list_metrics", "query_metric", "compare_modes",
    "list_calls", "run_doctor",
}  # fmt: skip
LONGEST = 40_000

# `mcp.Client`: importing it takes seconds, in each process that collects.
Client = Any
Session = Callable[[Client], Awaitable[None]]


def converse(session: Session, *args: str, errors: Path, **env: str) -> str:
    """Start the command, let the session ask it, and return what it wrote to standard error."""
    from mcp import Client as SdksClient
    from mcp import StdioServerParameters
    from mcp.client.stdio import stdio_client

    command = StdioServerParameters(
        command=sys.executable, args=["manage.py", "console", "--mcp", *args], cwd=ROOT, env={**os.environ, **env}
    )

    async def run() -> None:
        with errors.open("w") as output:
            async with SdksClient(stdio_client(command, output), read_timeout_seconds=60) as client:
                await session(client)

    asyncio.run(run())
    return errors.read_text()


async def ask(client: Client, tool: str, **arguments: Any) -> Any:
    """The answer of a tool, which has to be one JSON object of a bounded size."""
    result = await client.call_tool(tool, arguments)
    content: Any
    [content] = result.content
    assert not result.is_error, content
    assert len(content.text) <= LONGEST
    return json.loads(content.text)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """The reason for which a tool does not answer."""
    result = await client.call_tool(tool, arguments)
    content: Any
    [content] = result.content
    assert result.is_error
    return str(content.text)


def ports(console: Console) -> list[str]:
    return [f"--{name.replace('_', '-')}={getattr(console, name)}" for name in ("grpc_port", "http_port", "api_port")]


def test_assistant_reads_what_a_running_console_keeps_within_bounds(console: Console, tmp_path: Path) -> None:
    base = console.http_endpoint
    span = one_span("direct", name="GET /users", attributes=attributes({"http.route": "/users"}))
    large = traces([("12" * 16, ids[1]) for ids in many_ids(300)], attributes=attributes({"a": "x" * 500}))
    for message in (large, span, traces(many_ids(3))):
        assert post(f"{base}/v1/traces", message).status == 200
    ids: Any = {"trace_id": bytes.fromhex(TRACE_ID), "span_id": bytes.fromhex(SPAN_ID)}
    assert post(f"{base}/v1/logs", logs(1, mode="direct", body="a record", severity_number=17, **ids)).status == 200
    for count in (3, 8):
        metric = requests_total(count, time_ns=time.time_ns())
        assert post(f"{base}/v1/metrics", metric).status == 200

    async def session(client: Client) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        services = (await ask(client, "list_services"))["services"]
        assert [(each["service"], each["mode"]) for each in services] == [
            ("user-api", "collector"), ("user-api", "direct"),
        ]  # fmt: skip
        [found] = (await ask(client, "search_traces", filter="http.route=/users mode=direct"))["traces"]
        assert (found["trace_id"], found["root_name"]) == (TRACE_ID, "GET /users")
        assert len((await ask(client, "search_traces", sort="duration", limit=2, skip=1))["traces"]) == 2
        assert (await ask(client, "search_traces", to_time="2020-01-01"))["traces"] == []
        trace = await ask(client, "read_trace", trace_id=TRACE_ID)
        assert [trace["spans"][0]["name"], trace["logs"][0]["body"]] == ["GET /users", "a record"]
        assert len((await ask(client, "search_logs", filter="severity>=error"))["logs"]) == 1
        [metric] = (await ask(client, "list_metrics"))["metrics"]
        for labels, values in (("http.route=/users", [[8]]), ("http.route=/", [])):
            answer = await ask(client, "query_metric", name=metric["name"], labels=labels, points=1)
            assert [[point["count"] for point in each["points"]] for each in answer["series"]] == values
        modes = (await ask(client, "compare_modes", window_minutes="1"))["modes"]
        assert [mode["mode"] for mode in modes] == ["collector", "direct"]
        assert (await ask(client, "list_calls"))["calls"] == []
        assert "status is" not in await refused(client, "search_traces", filter="status=bad")
        assert "ok, error, failed" in await refused(client, "search_traces", filter="status=bad")
        assert "404" in await refused(client, "read_trace", trace_id="9" * 32)
        assert "limit" in await refused(client, "search_traces", limit=101)
        trace = await ask(client, "read_trace", trace_id="12" * 16)
        assert 10 < len(trace["spans"]) < 100
        assert len(trace["spans"]) + trace["spans_left_out"] == 300

    # No console of its own: its options have no effect, no endpoint is printed, and the ports are the other's.
    given = ["--scrape", "direct=http://127.0.0.1:1/metrics", "--allow-faults"]
    printed = converse(session, *ports(console), *given, errors=tmp_path / "errors")
    assert printed == f"--scrape, --allow-faults: no effect on the console that runs at {console.url}\n"


def test_nothing_is_printed_of_a_running_console_without_options_of_its_own() -> None:
    errors = StringIO()
    Command(stderr=errors)._name_unused("http://127.0.0.1:3000", parsed())
    assert errors.getvalue() == ""


def cut(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer as an assistant gets it."""
    from telemetry.tools.console.assistant import bounded

    text = bounded(answer)
    assert len(text) <= LONGEST
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("answer", [{"a": ["x" * LONGEST] * 3, "b": 1}, {"a": ["x" * 30_000], "b": ["y" * 30_000]}])
def test_single_large_text_is_left_out(answer: dict[str, Any]) -> None:
    assert cut(answer)["a_left_out"] == len(answer["a"])


def test_single_large_series_has_its_latest_points() -> None:
    every = [{"time": f"{number:060}"} for number in range(1000)]
    [series] = cut({"series": [{"mode": "direct", "points": every}] * 3, "series_left_out": 2})["series"]
    assert series["mode"] == "direct"
    assert series["points"] == every[-len(series["points"]) :]
    assert 400 < len(series["points"]) == 1000 - series["points_left_out"]


def test_single_large_span_is_cut_within() -> None:
    events = [{"name": "e" * 100}] * 300
    attributes = {"a": "b", "large": "x" * 50_000}
    found = cut({"spans": [{"name": "n" * 50_000, "attributes": attributes, "events": events}], "spans_left_out": 7})
    [span] = found["spans"]
    assert found["spans_left_out"] == 7
    assert span["attributes"] == {"a": "b"}
    assert len(span["name"]) + span["name_left_out"] == 50_000
    assert len(span["events"]) + span.get("events_left_out", 0) == 300


@pytest.mark.parametrize("value", ["x" * (2 * LONGEST), {str(number): "x" for number in range(LONGEST)}])
def test_large_answer_without_lists_is_cut(value: Any) -> None:
    answer = cut({"a": value})
    assert len(answer["a"]) + answer["a_left_out"] == len(value)
    assert len(json.dumps(answer)) > LONGEST / 2


def test_answer_with_nothing_to_cut_is_empty() -> None:
    assert cut({str(number): number for number in range(LONGEST)}) == {}


def test_assistant_opens_files_and_runs_the_doctor_with_a_console_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "from a file", "startTimeUnixNano": "1"}
    ]}]}]}))  # fmt: skip

    async def session(client: Client) -> None:
        [trace] = (await ask(client, "search_traces"))["traces"]
        assert trace["root_name"] == "from a file"
        answer = await ask(client, "run_doctor")
        assert (answer["passed"], answer["stops_at"]) == (False, f"service http://127.0.0.1:{port}")

    port = free_port()
    given = {"TELEMETRY_MODE": "collector", "TELEMETRY_SERVICE_URL": f"http://127.0.0.1:{port}"}
    printed = converse(session, *ANY_PORT, "--open", str(path), errors=tmp_path / "errors", **given)
    assert [line.split()[0] for line in printed.splitlines()] == ["OTLP/gRPC", "OTLP/HTTP", "Console"]


@pytest.mark.parametrize("others", [{}, {"TELEMETRY_CONSOLE_URL": "http://a:1"}, {"TELEMETRY_TEMPO_URL": "http://b:1"}])
def test_doctor_asks_the_assistant_s_console(monkeypatch: pytest.MonkeyPatch, others: dict[str, str]) -> None:
    """Unless variables say where to look."""
    from telemetry.tools.console.assistant import Tools

    asked: dict[str, str] = {}

    def run(command: list[str], *, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.update(env)
        return subprocess.CompletedProcess(command, 0, "{}")

    monkeypatch.setattr("telemetry.tools.console.assistant.subprocess.run", run)
    for name, url in others.items():
        monkeypatch.setenv(name, url)
    Tools("http://127.0.0.1:3100").run_doctor()
    named = {name: url for name, url in asked.items() if name.startswith("TELEMETRY_") and name.endswith("_URL")}
    assert named == (others or {"TELEMETRY_CONSOLE_URL": "http://127.0.0.1:3100"})


def test_busy_port_of_something_else_ends_the_command() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "manage.py", "console", "--mcp", *ANY_PORT[:2], f"--api-port={port}"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"port {port} on 127.0.0.1 cannot be used: the port is busy" in ended.stderr


def test_signal_ends_it_while_it_waits_for_questions() -> None:
    command = [sys.executable, "manage.py", "console", "--mcp", *ANY_PORT]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process: Any
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        for _ in range(3):
            process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
        assert process.stdout.read() == ""
