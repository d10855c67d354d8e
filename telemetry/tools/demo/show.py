"""What the demo prints: links, a live count, the final tally. ASCII, 79 columns where there is a choice."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from telemetry.tools.demo.ports import MODES, Mode, Ports
from telemetry.tools.demo.tally import ModeTally, Tally
from telemetry.tools.traffic.visits import EXAMPLE

_PLAIN_INTERVAL = 5.0
_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"
_HEAD = (
    "               sent |   server   access       in |      all  points or     log",
    "                    |    spans  records  metrics |    spans    samples records",
)


class Screen:
    """Writes lines; on a terminal the live count is redrawn in place, elsewhere it is a line every five seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._live and not os.environ.get("NO_COLOR")
        self._drawn = 0
        self._next_plain = _PLAIN_INTERVAL

    @property
    def interval(self) -> float:
        """Seconds between two live counts."""
        return 0.5 if self._live else 1.0

    def line(self, text: str = "") -> None:
        """Write one line."""
        self._drawn = 0
        self._write(text + "\n")

    def title(self, text: str) -> None:
        """Write a line that stands out."""
        self.line(self._styled(text, _BOLD))

    def live(self, seconds: float, tallies: Mapping[Mode, ModeTally], note: str) -> None:
        """Show the counts after `seconds` of traffic; `note` is anything else to show."""
        if not self._live:
            if seconds >= self._next_plain:
                self._next_plain += _PLAIN_INTERVAL
                for mode, tally in tallies.items():
                    self.line(f"{seconds:5.0f} s  {plain(mode, tally)}")
            return
        clock = f"{int(seconds) // 60:3d}:{int(seconds) % 60:02d}"
        lines = [clock + _HEAD[0][len(clock) :], *table(tallies)[1:], note]
        # A wrapped line would take two rows, and the redraw would move the cursor up too few.
        width = shutil.get_terminal_size().columns - 1
        text = "".join(f"\x1b[2K{self._head(number, line[:width])}\n" for number, line in enumerate(lines))
        self._write((f"\x1b[{self._drawn}A" if self._drawn else "") + text)
        self._drawn = len(lines)

    def tally(self, tally: Tally) -> None:
        """Show the final tally: the table, the visitors' requests, and the verdict."""
        self.line()
        for number, line in enumerate(table(tally.modes)):
            self.line(self._head(number, line))
        for mode, each in tally.modes.items():
            if each.calls:
                self.line(f"  {mode}: {each.calls} more are the greeter's, called by the service and its worker")
            if each.visitors:
                late = f", {each.late_visits} of them after the last scrape" if each.late_visits else ""
                self.line(f"  {mode}: {each.visitors} requests came from other clients{late}")
        self.line()
        reasons = tally.reasons()
        if not reasons:
            self.line(self._styled("Everything that was sent arrived, in every signal.", _GREEN))
        for reason in reasons:
            self.line(self._styled(f"Problem: {reason}", _RED))

    def _head(self, number: int, line: str) -> str:
        return self._styled(line, _DIM) if number < len(_HEAD) else line

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._coloured else text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def table(tallies: Mapping[Mode, ModeTally]) -> list[str]:
    """Return the counts, a line for each mode below two lines of heading."""
    lines = list(_HEAD)
    for mode, tally in tallies.items():
        came = tally.arrived
        points = came.data_points + came.scraped_samples
        lines.append(
            f"  {mode:9}{tally.sent.requests:8,} |{came.server_spans:9,}{came.access_records:9,}{came.requests:9,} |"
            f"{came.spans:9,}{points:11,}{came.log_records:8,}"
        )
    return lines


def plain(mode: Mode, tally: ModeTally) -> str:
    """Return the counts of one mode as a sentence."""
    came = tally.arrived
    metrics = f"{came.data_points} data points" if mode == "collector" else f"{came.scraped_samples} scraped samples"
    return (
        f"{mode}: {tally.sent.requests} requests sent; arrived {came.server_spans} server spans, "
        f"{came.access_records} access records, {came.requests} requests in the metrics "
        f"(in all {came.spans} spans, {metrics}, {came.log_records} log records)"
    )


def links(ports: Ports, modes: Sequence[Mode], folder: Path, password: str) -> list[str]:
    """Return the links, and two command lines to try."""
    lines = []
    for mode in modes:
        service = f"http://localhost:{ports.service(mode)}"
        lines += [
            f"{mode.capitalize()} mode: {service}/   {_way(ports, mode)}",
            f"  API        {service}/users",
            f"  docs       {service}/docs   (schema: {service}/schema)",
            f"  admin      {service}/admin/   (name admin, password {password})",
            *([f"  metrics    {service}/metrics"] if mode == "direct" else []),
            f"  its log    {_short(folder / f'{mode}.log')}",
        ]
    console = f"http://localhost:{ports.console}"
    users = f"http://localhost:{ports.service(modes[0])}/users"
    lines += [
        f"Console: {console}/   both modes side by side, as it arrives",
        f"  traces     {console}/traces   (those of /users/{{id}}/greeting go on in a greeter and a worker)",
        f"  failures   {console}/traces?status=5xx   (one request in a hundred fails on purpose)",
        f"  metrics    {console}/metrics",
        f"  logs       {console}/logs",
        f"  modes      {console}/modes   what each mode sends where",
        f"  JSON API   {console}/api/",
        f"  its log    {_short(folder / 'console.log')}",
        "",
        "Try:",
        f"""  curl -X POST {users} -H "Content-Type: application/json" -d '{json.dumps(EXAMPLE)}'""",
        f"  curl {users}",
    ]
    return lines


def _way(ports: Ports, mode: Mode) -> str:
    if mode == MODES[0]:
        return f"sends everything by OTLP over gRPC to {ports.otlp_grpc}"
    return f"sends traces and logs by OTLP over HTTP to {ports.otlp_http}, is scraped for metrics"


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
