"""Tempo and Loki as they answer the audit, and what a collector lets Prometheus scrape: all of what a console has."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import Any

from telemetry.tools.console.server import Console
from tests.contract.translation import PROMOTED, family_name, label_name
from tests.support.answering import Answering, Query
from tests.tools.console.client import summaries


@contextmanager
def backends(console: Console, mode: str) -> Iterator[dict[str, str]]:
    """Answer until the end of the block; yield the URLs of Tempo and Loki."""

    def count_spans(query: Query) -> dict[str, Any]:
        assert query["q"] == (
            f'{{ resource.service.name = "user-api" && resource.export.mode = "{mode}" }} | count_over_time()'
        )
        inside = range(int(float(query["start"]) * 1e9), int(float(query["end"]) * 1e9))
        spans = [span for span in console.store.spans() if span.resource.mode == mode and span.start_ns in inside]
        return {"series": [{"value": len(spans)}]}

    def newest_trace(_: Query) -> dict[str, Any]:
        [newest] = summaries(console.store, limit=1, mode=mode)
        return {"traces": [{"traceID": newest.trace_id, "startTimeUnixNano": str(newest.start_ns)}]}

    def records() -> list[Any]:
        return console.store.logs(mode=mode)

    def count_records(query: Query) -> dict[str, Any]:
        seconds = int(query["query"].partition("[")[2].partition("s]")[0])
        end = int(query["time"])
        found = sum(end - seconds * 10**9 < record.time_ns <= end for record in records())
        return _success("vector", [{"metric": {}, "value": [time(), str(found)]}])

    def newest_record(_: Query) -> dict[str, Any]:
        newest = records()[0]
        return _success("streams", [{"stream": {}, "values": [[str(newest.time_ns), str(newest.body)]]}])

    tempo = {"/ready": "ready\n", "/api/metrics/query": count_spans, "/api/search": newest_trace}
    loki = {"/loki/api/v1/query": count_records, "/loki/api/v1/query_range": newest_record}
    with Answering(tempo) as traces, Answering(loki) as logs:
        yield {"tempo": traces.url, "loki": logs.url}


def _success(kind: str, result: list[Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def exposition(console: Console) -> str:
    """The newest point of each series that was pushed, with its time, as a collector's Prometheus exporter has it.

    Of a histogram its count alone.
    """
    lines = []
    for metric in console.store.metrics():
        for series, points in console.store.series(metric.first.name, points=1):
            point, instrument = points[-1].decode(), series.instrument
            name = family_name(instrument.name, instrument.unit, instrument.type)
            name += "_count" if "count" in point.data else ""
            value = point.data.get("count", point.data.get("value"))
            resource = dict(zip(PROMOTED, (series.service, "test", series.mode), strict=True))
            labels = ",".join(f'{label_name(key)}="{kept}"' for key, kept in {**series.attributes, **resource}.items())
            lines.append(f"{name}{{{labels}}} {value} {point.time_ns // 10**6}\n")
    return "".join(lines)
