"""Ask a running stack every query of every dashboard and rule, and report which have data.

    python -m tests.dashboards.live --prometheus http://localhost:9090 --loki http://localhost:3100 \
        --tempo http://localhost:3200 [--grafana http://admin:admin@localhost:3000] [--wait 120]

Exit code 1 if a query fails, or has no data although its panel must have some; a panel whose source says why it may be
empty passes. An alert need not fire, but Prometheus must be able to evaluate it. The listed metrics of the components
(components.yaml) must be there.
"""

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep, time
from typing import Any

import requests

from deploy.grafana.source import DASHBOARDS
from tests.dashboards.queries import Found, alerts, all_queries, components

_SECONDS = 300
_STEP = 15
_TRACE_METRICS = re.compile(r"\|\s*(rate|count_over_time|quantile_over_time|histogram_over_time)\(")
_PAUSE = 5
# What rules of losses look for, which is not there before the first one.
_OF_LOSSES = re.compile(r'error_type!=""|_failed_|discarded|given_up|< 0\.')


@dataclass(frozen=True)
class Verdict:
    """What became of one query: `values` are the numbers, lines or traces that it found."""

    where: str
    values: int
    problem: str = ""
    excuse: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.problem) or (not self.values and not self.excuse)

    def __str__(self) -> str:
        if self.problem:
            return f"FAILED  {self.where}: {self.problem}"
        if self.values:
            return f"ok      {self.where}: {self.values}"
        return f"empty   {self.where}: {self.excuse}" if self.excuse else f"NO DATA {self.where}"


class NoAnswerError(Exception):
    """A server that is not there or refuses; the text has its words."""


class Backend:
    """One server's HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of an answer; raises NoAnswerError where it is no success."""
        try:
            answer = requests.get(f"{self._url}{path}", params=parameters, timeout=30)
        except requests.RequestException as error:
            raise NoAnswerError(f"{self._url} does not answer: {error}") from error
        if not answer.ok:
            raise NoAnswerError(f"{answer.status_code}: {answer.text.strip()[:300]}")
        return answer.json()


class Stack:
    """The servers that answer the queries."""

    def __init__(self, prometheus: str, loki: str, tempo: str) -> None:
        self.prometheus, self._loki, self._tempo = Backend(prometheus), Backend(loki), Backend(tempo)
        self._ask: dict[str, Callable[[Found, str], int]] = {
            "prometheus": self._ask_prometheus,
            "loki": self._ask_loki,
            "tempo": self._ask_tempo,
        }

    def ask(self, found: Found) -> Verdict:
        """Return what the query finds at this moment, or in the last five minutes."""
        where = f"{found.file.removesuffix('.json')}: {found.where}"
        try:
            values = self._ask[found.source](found, found.substituted())
        except NoAnswerError as error:
            return Verdict(where, 0, f"{error}\n        {found.substituted()}")
        return Verdict(where, values, excuse=excuse(found))

    def _ask_prometheus(self, found: Found, text: str) -> int:
        if found.instant:
            return _numbers(self.prometheus.get("/api/v1/query", query=text)["data"]["result"])
        span = {"start": time() - _SECONDS, "end": time(), "step": _STEP}
        return _numbers(self.prometheus.get("/api/v1/query_range", query=text, **span)["data"]["result"])

    def _ask_loki(self, found: Found, text: str) -> int:
        if found.instant:
            return _numbers(self._loki.get("/loki/api/v1/query", query=text)["data"]["result"])
        span = {"start": int((time() - _SECONDS) * 1e9), "end": int(time() * 1e9), "step": _STEP, "limit": 100}
        data = self._loki.get("/loki/api/v1/query_range", query=text, **span)["data"]
        if data["resultType"] == "streams":
            return sum(len(stream["values"]) for stream in data["result"])
        return _numbers(data["result"])

    def _ask_tempo(self, found: Found, text: str) -> int:
        del found
        span = {"start": int(time() - _SECONDS), "end": int(time())}
        if _TRACE_METRICS.search(text):
            series = self._tempo.get("/api/metrics/query_range", q=text, step=f"{_STEP}s", **span).get("series", [])
            return sum(len(one.get("samples", [])) for one in series)
        return len(self._tempo.get("/api/search", q=text, limit=20, **span).get("traces") or [])


def _numbers(result: list[dict[str, Any]]) -> int:
    """Return how many values there are that are numbers."""
    values = [pair for series in result for pair in (series.get("values") or [series["value"]])]
    return sum(not math.isnan(float(value)) for _, value in values)


def excuse(found: Found) -> str:
    """Return why the query may find nothing, or an empty text where it must find something."""
    if found.where in alerts():
        return "does not fire"
    if found.file == "completeness.yml" and _OF_LOSSES.search(found.text):
        return "nothing is lost"
    if found.where == "Alerts":
        return "no critical alert fires"
    for dashboard in DASHBOARDS:
        if f"{dashboard.uid}.json" == found.file:
            return next((panel.may_be_empty for panel in dashboard.panels() if panel.title == found.where), "")
    return ""


def component_metrics(stack: Stack) -> Iterator[Verdict]:
    """Yield whether each listed metric is there, with the labels that are listed for it."""
    for component, metrics in components().items():
        reason = f"of {component} only" if re.search(" (in|with) ", component) else ""
        for metric, labels in metrics.items():
            try:
                series = stack.prometheus.get("/api/v1/series", **{"match[]": metric, "start": time() - _SECONDS})[
                    "data"
                ]
            except NoAnswerError as error:
                yield Verdict(f"{component}: {metric}", 0, str(error))
                continue
            there = {label for one in series for label in one}
            missing = set(labels) - there
            problem = f"has no label {', '.join(sorted(missing))}" if series and missing and not reason else ""
            yield Verdict(f"{component}: {metric}", len(series), problem, reason)


def grafana_pages(url: str) -> Iterator[Verdict]:
    """Yield whether Grafana has the dashboards and reaches its data sources."""
    grafana = Backend(url)
    checks = {f"dashboard {board.title}": f"/api/dashboards/uid/{board.uid}" for board in DASHBOARDS}
    checks |= {
        "data source Prometheus": "/api/datasources/proxy/uid/prometheus/api/v1/labels",
        "data source Loki": "/api/datasources/proxy/uid/loki/loki/api/v1/labels",
        "data source Tempo": "/api/datasources/proxy/uid/tempo/api/search/tags",
    }
    for name, path in checks.items():
        try:
            grafana.get(path)
        except NoAnswerError as error:
            yield Verdict(f"grafana: {name}", 0, str(error))
        else:
            yield Verdict(f"grafana: {name}", 1)


def patiently(stack: Stack, wait: float) -> list[Verdict]:
    """Ask until nothing fails, `wait` seconds at most: rates need two samples."""
    deadline = monotonic() + wait
    queries = all_queries()
    verdicts = {query: stack.ask(query) for query in queries}
    while (failed := [query for query in queries if verdicts[query].failed]) and monotonic() < deadline:
        sleep(_PAUSE)
        verdicts |= {query: stack.ask(query) for query in failed}
    return [verdicts[query] for query in queries]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.dashboards.live", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--prometheus", default="http://localhost:9090", help="URL (default: %(default)s)")
    parser.add_argument("--loki", default="http://localhost:3100", help="URL (default: %(default)s)")
    parser.add_argument("--tempo", default="http://localhost:3200", help="URL (default: %(default)s)")
    parser.add_argument("--grafana", help="URL with name and password; asked only if given")
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for data (default: %(default)s)")
    options = parser.parse_args(arguments)
    stack = Stack(options.prometheus, options.loki, options.tempo)
    verdicts = patiently(stack, options.wait)
    verdicts += component_metrics(stack)
    if options.grafana:
        verdicts += grafana_pages(options.grafana)
    for verdict in verdicts:
        print(verdict)
    failed = sum(verdict.failed for verdict in verdicts)
    print(f"{len(verdicts)} checks, {failed} failed, {sum(not verdict.values for verdict in verdicts) - failed} empty")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
