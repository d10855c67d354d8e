"""What the real Tempo, Loki and Prometheus have stored of the requests that were sent."""

import http.client
import json
import urllib.parse
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from threading import local
from time import time
from typing import Any

_PAGE = 5000  # Loki's most
_THREADS = 4
SELECTOR = '{service_name="user-api", export_mode="collector"}'


class Backend:
    """GET requests to one server on the loopback address, over one connection for each thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = local()

    def get(self, path: str, **parameters: str) -> Any:
        """Return the decoded answer, None for 404; raises OSError for anything else."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path + query, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._local.connection = None
            raise OSError(f"{path}: {error!r}") from error
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OSError(f"{path}: status {answer.status}: {body[:200]!r}")
        return json.loads(body)


@dataclass(frozen=True)
class Stored:
    """How many of a signal's records are there: all, and those that are there more than once."""

    records: Counter[str]
    """By trace id."""
    duplicates: int = 0


def spans(tempo: Backend, trace_ids: Iterable[str]) -> Stored:
    """Ask for each trace; a span that is there twice is one duplicate."""
    with ThreadPoolExecutor(_THREADS) as threads:
        found = dict(zip(trace_ids, threads.map(lambda one: _span_ids(tempo, one), trace_ids), strict=True))
    records = Counter({trace_id: len(set(ids)) for trace_id, ids in found.items()})
    return Stored(records, sum(len(ids) - len(set(ids)) for ids in found.values()))


def _span_ids(tempo: Backend, trace_id: str) -> list[str]:
    answer = tempo.get(f"/api/v2/traces/{trace_id}") or {}
    trace = answer.get("trace") or {}
    return [
        span["spanId"]
        for resource in trace.get("resourceSpans", ())
        for scope in resource.get("scopeSpans", ())
        for span in scope.get("spans", ())
    ]


def found_by_search(tempo: Backend, start: float, end: float, limit: int) -> int:
    """Return how many traces a search in that time finds; times in seconds since 1970."""
    query = '{resource.service.name = "user-api"}'
    answer = tempo.get("/api/search", q=query, start=str(int(start)), end=str(int(end) + 1), limit=str(limit))
    return len(answer["traces"])


def access_records(loki: Backend, start: float) -> Stored:
    """Count the access records by trace id. (Loki keeps one of records that are wholly equal.)"""
    records: Counter[str] = Counter()
    seen: set[tuple[str, str, str]] = set()
    query = f'{SELECTOR} | scope_name="userapi.access"'
    begin, end = int(start * 1e9), str(int((time() + 60) * 1e9))
    while True:
        answer = loki.get(
            "/loki/api/v1/query_range", query=query, start=str(begin), end=end, limit=str(_PAGE), direction="forward"
        )
        streams = answer["data"]["result"]
        lines = sorted(
            (moment, stream["stream"].get("trace_id", ""), line)
            for stream in streams
            for moment, line in stream["values"]
        )
        new = [line for line in lines if line not in seen]
        seen.update(new)
        records.update(trace_id for _, trace_id, _ in new)
        if len(lines) < _PAGE:
            return Stored(records)
        begin = int(lines[-1][0])


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
