"""What the real Tempo, Loki and Prometheus have stored of the requests that were sent."""

import http.client
import json
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from time import time
from typing import Any

_PAGE = 5000  # Loki's most
SELECTOR = '{service_name="user-api", export_mode="collector"}'


class Backend:
    """GET requests to one server on the loopback address."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, **parameters: str) -> Any:
        """Return the decoded answer; raises OSError where it is no success."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request("GET", path + query, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise OSError(f"{path}: status {answer.status}: {body[:200]!r}")
        return json.loads(body)


def spans(tempo: Backend, start: float, end: float, limit: int) -> Counter[str]:
    """Search in that time (seconds since 1970) and return the number of spans by trace id."""
    query = '{resource.service.name = "user-api"}'
    answer = tempo.get(
        "/api/search", q=query, start=str(int(start)), end=str(int(end) + 1), limit=str(limit), spss="100"
    )
    # Tempo leaves out leading zeros.
    return Counter({found["traceID"].zfill(32): int(found["spanSet"]["matched"]) for found in answer["traces"]})


def received(port: int, name: str) -> int:
    """Return a counter of a server, added up over its series."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} "))))


def records(loki: Backend, start: float) -> list[tuple[str, str]]:
    """Return trace id and scope of every record since `start` (seconds since 1970)."""
    found: list[tuple[str, str]] = []
    begin, end = int(start * 1e9), str(int((time() + 60) * 1e9))
    while True:
        answer = loki.get(
            "/loki/api/v1/query_range", query=SELECTOR, start=str(begin), end=end, limit=str(_PAGE), direction="forward"
        )
        lines = sorted(
            (int(moment), stream["stream"].get("trace_id", ""), stream["stream"].get("scope_name", ""))
            for stream in answer["data"]["result"]
            for moment, _ in stream["values"]
        )
        if len(lines) < _PAGE:
            return found + [line[1:] for line in lines]
        # The last moment may be cut: it is asked for again.
        begin = lines[-1][0]
        found += [line[1:] for line in lines if line[0] < begin]


@dataclass(frozen=True)
class Samples:
    """The samples of a counter that is pushed at an interval: how many there are, and how many there would be."""

    stored: int
    expected: int
    largest_gap: float
    """Seconds."""
    requests: int
    """What the counter says at the end."""


def samples(prometheus: Backend, minutes: int, interval: float) -> Samples:
    """Look at the raw samples of the requests' counter: one for each worker and push."""
    selector = f"http_server_request_duration_seconds_count{SELECTOR}[{minutes}m]"
    series = prometheus.get("/api/v1/query", query=selector)["data"]["result"]
    moments: dict[str, set[float]] = {}
    requests = 0.0
    for one in series:
        moments.setdefault(one["metric"]["instance"], set()).update(float(moment) for moment, _ in one["values"])
        requests += float(one["values"][-1][1])
    ordered = [sorted(of_worker) for of_worker in moments.values()]
    gaps = [after - before for times in ordered for before, after in pairwise(times)]
    stored = sum(len(times) for times in ordered)
    missing = sum(max(0, round(gap / interval) - 1) for gap in gaps)
    return Samples(stored, stored + missing, max(gaps, default=0.0), int(requests))
