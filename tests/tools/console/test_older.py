"""A service that was started before the console: its requests are counted from its first count on."""

import secrets
import time
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from telemetry.tools.console.pages.modes import mode_panels
from telemetry.tools.console.storage.store import Store
from tests.tools.console.client import logs, requests_total, resource, traces
from tests.tools.console.test_store import SECOND, take


class Older:
    """A store, and a service that was started before it."""

    def __init__(self, instance: str = "instance-1", store: Store | None = None) -> None:
        self.store = store or Store()
        self.instance = instance
        # In the past, so that no request is recent, which could be on its way.
        self.now = time.time_ns() - 500 * SECOND
        self.store.started_ns = self.now - 500 * SECOND

    def end(self, requests: int, seconds: float, *, records: int | None = None) -> None:
        """Send the spans and access records of requests that ended so long after the first count."""
        ids = [(secrets.token_hex(16), "01" * 8) for _ in range(requests)]
        at = self.now + int(seconds * SECOND)
        spans = traces(ids, end_time_unix_nano=at)
        spans.resource_spans[0].resource.CopyFrom(resource(instance=self.instance))
        take(self.store, "traces", spans)
        logged = logs(requests if records is None else records, time_unix_nano=at)
        logged.resource_logs[0].resource.CopyFrom(resource(instance=self.instance))
        take(self.store, "logs", logged)

    def push(self, seconds: float, *, begun: int = 1, **counts: int) -> None:
        """Push the count of each route; `begun` is when its series did."""
        at = self.now + int(seconds * SECOND)
        messages = [
            requests_total(count, time_ns=at, start_ns=begun, route=route, instance=self.instance)
            for route, count in counts.items()
        ]
        first, *others = (message.resource_metrics[0].scope_metrics[0].metrics[0] for message in messages)
        for other in others:
            first.histogram.data_points.extend(other.histogram.data_points)
        take(self.store, "metrics", messages[0])

    def scrape(self, seconds: float, **counts: int) -> None:
        name = "http_server_request_duration_seconds"
        lines = [f"# TYPE {name} histogram"]
        for route, count in counts.items():
            labels = f'export_mode="collector",service_name="user-api",http_route="{route}"'
            lines += [f'{name}_bucket{{{labels},le="+Inf"}} {count}', f"{name}_count{{{labels}}} {count}"]
            lines += [f"{name}_sum{{{labels}}} 1", f"{name}_created{{{labels}}} 1"]
        parse: Any = text_string_to_metric_families
        text = "\n".join([*lines, "# EOF\n"])
        self.store.add_samples("service", parse(text), self.now + int(seconds * SECOND))

    def counted(self) -> tuple[tuple[int, ...], bool]:
        """The requests by each signal, and whether they agree."""
        [panel] = mode_panels(self.store, 60)
        return tuple(panel["requests"].values()), panel["counts_agree"]


@pytest.mark.parametrize("report", ["push", "scrape"])
def test_requests_of_an_older_service_are_counted_from_its_first_count_on(report: str) -> None:
    older = Older()
    count = getattr(older, report)
    older.end(3, -10)
    count(0, a=103, b=7)
    assert older.counted() == ((0, 0, 0), True)
    older.end(2, -5)  # what was on its way
    older.end(4, 10)
    count(15, a=105, b=9)
    assert older.counted() == ((4, 4, 4), True)
    older.end(5, 20, records=4)
    count(30, a=110, b=9)
    assert older.counted() == ((9, 8, 9), False)
    totals = older.store.mode("collector")
    assert (totals.server_spans, totals.server_spans_before, totals.spans_at_the_edge) == (14, 5, 0)


def test_route_that_is_new_at_an_older_service_is_counted() -> None:
    older = Older()
    older.end(2, -10)
    older.push(0, begun=older.store.started_ns + 1, new=2)
    assert older.counted() == ((2, 2, 2), True)
    older = Older()
    older.push(0, old=100)
    older.end(2, 10)
    older.push(15, old=100, new=2)
    assert older.counted() == ((2, 2, 2), True)


def test_each_older_instance_has_its_own_first_count() -> None:
    first = Older()
    second = Older("instance-2", first.store)
    first.push(0, a=50)
    first.end(3, 5)
    second.end(2, 5)
    second.push(10, a=70)
    first.push(15, a=53)
    assert first.counted() == ((3, 3, 3), True)


def test_requests_close_to_the_first_count_may_be_on_either_side() -> None:
    older = Older()
    older.end(2, -1)  # which the exporter had not read when it counted
    older.push(0, a=100)
    older.push(15, a=102)
    assert older.counted() == ((0, 0, 2), True)
    older.push(30, a=103)
    assert older.counted() == ((0, 0, 3), False)


def test_first_counts_are_bounded() -> None:
    store = Store()
    for number in range(300):
        Older(f"instance-{number}", store).push(0, a=1)
    assert store.mode("collector").requests == 300 - 256
