"""Alloy, Tempo, Loki, Prometheus and Grafana as they answer the doctor, with what a console has received.

The answers have the shape of recorded ones: Alloy 1.18.1, Tempo 3.0.3, Loki 3.7.6, Prometheus 3.14.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from time import time
from typing import Any

from telemetry.tools.console.server import Console
from tests.support.answering import Answering, Query, Reply
from tests.tools.console.client import summaries

TIME = "2026-11-25T10:15:21.901940912Z"
NAMES = ("alloy", "tempo", "loki", "prometheus", "grafana")
LABELS = {"service_name": "user-api", "export_mode": "collector", "http_route": "/users/{id}"}


class Servers:
    """What each server answers; a test changes `answers[name][path]` to break one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.exporting = True
        self.answers: dict[str, dict[str, Any]] = {
            "alloy": {
                "/-/ready": "Alloy is ready.\n",
                "/api/v0/web/components": [
                    component("otelcol.receiver.otlp.app"),
                    component("otelcol.exporter.otlp.tempo"),
                ],
                "/metrics": lambda _: self.counters(),
            },
            "tempo": {"/ready": "ready\n", "/api/v2/traces/": self._trace},
            "loki": {"/ready": "ready\n", "/loki/api/v1/query_range": self._lines, "/loki/api/v1/query": self._count},
            "prometheus": {
                "/-/ready": "Prometheus Server is Ready.\n",
                "/api/v1/query": lambda _: self.counts(),
                "/api/v1/query_exemplars": lambda _: self._exemplars(),
                "/api/v1/status/flags": flags(),
            },
            "grafana": {
                "/api/health": {"commit": "5d6c9ed33d", "database": "ok", "version": "13.2.0"},
                "/api/datasources": [data_source(kind) for kind in ("prometheus", "tempo", "loki", "jaeger")],
                **{health_path(kind): healthy(kind) for kind in ("prometheus", "tempo", "loki")},
                health_path("jaeger"): Reply({"message": "no such host", "status": "ERROR"}, 400),  # it is not in use
            },
        }

    @contextmanager
    def serve(self) -> Iterator[dict[str, str]]:
        """Answer until the end of the block; yield the URLs by name."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(Answering(self.answers[name])).url for name in NAMES}

    def counters(self, refused: int = 0, failed: int = 0, waiting: int = 0) -> str:
        """Alloy's own metrics."""
        totals = self._console.store.totals().values()
        arrived = {
            "spans": sum(one.spans for one in totals),
            "metric_points": sum(one.data_points for one in totals),
            "log_records": sum(one.log_records for one in totals),
        }
        tempo = 'component_id="otelcol.exporter.otlp.tempo",exporter="otlp_grpc/otelcol.exporter.otlp.tempo"'
        lines = [f"otelcol_exporter_queue_size{{{tempo}}} {waiting}"]
        lines += [f"otelcol_exporter_send_failed_spans_total{{{tempo}}} {failed}"] if failed else []
        for item, count in arrived.items():
            lines.append(f'otelcol_receiver_accepted_{item}_total{{transport="grpc"}} {count}')
            lines.append(f'otelcol_receiver_refused_{item}_total{{transport="grpc"}} {refused}')
            sent = (
                f"otelcol_exporter_sent_{item}_total"
                if item != "metric_points"
                else "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
            )
            lines.append(f"{sent}{{{tempo}}} {count if self.exporting else 0}")
        return "\n".join(lines) + "\n"

    def counts(self) -> dict[str, Any]:
        """Prometheus' answer about requests."""
        requests = self._console.store.mode("collector").requests_otlp
        sample = {"metric": LABELS, "value": [time(), str(requests)]}
        return success({"resultType": "vector", "result": [sample] if requests else []})

    def _exemplars(self) -> dict[str, Any]:
        newest = summaries(self._console.store, limit=1, mode="collector")
        exemplars = [{"labels": {"trace_id": one.trace_id}, "value": "0.01", "timestamp": time()} for one in newest]
        return success([{"seriesLabels": LABELS, "exemplars": exemplars}])

    def _trace(self, query: Query) -> dict[str, Any]:
        spans = self._console.store.trace(query["rest"])
        if not spans:
            return {"trace": {}, "metrics": {}}
        groups = [
            {
                "resource": {
                    "attributes": [
                        {"key": key, "value": {"stringValue": value}} for key, value in span.resource.attributes.items()
                    ]
                },
                "scopeSpans": [
                    {
                        "scope": {"name": span.scope.name},
                        "spans": [
                            {
                                "traceId": b64encode(bytes.fromhex(span.trace_id)).decode(),
                                "spanId": b64encode(bytes.fromhex(span.span_id)).decode(),
                                "name": span.name,
                                "kind": f"SPAN_KIND_{span.kind.upper()}",
                                "startTimeUnixNano": str(span.start_ns),
                                "endTimeUnixNano": str(span.end_ns),
                            }
                        ],
                    }
                ],
            }
            for span in spans
        ]
        return {"trace": {"resourceSpans": groups}, "metrics": {"inspectedBytes": "169940"}}

    def _lines(self, query: Query) -> dict[str, Any]:
        match = re.fullmatch(r'\{service_name="user-api"\} \| trace_id="(\w{32})"', query["query"])
        assert match, query
        records = self._console.store.logs(trace_id=match[1])
        streams = [
            {
                "stream": {"service_name": "user-api", "trace_id": match[1]},
                "values": [[str(one.time_ns), str(one.body)]],
            }
            for one in records
        ]
        return success({"resultType": "streams", "result": streams})

    def _count(self, query: Query) -> dict[str, Any]:
        assert query["query"] == 'sum(count_over_time({service_name="user-api"} [601s]))', query
        return recent_lines(len(self._console.store.logs(limit=1000, mode="collector")))


def success(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data}


def recent_lines(count: int) -> dict[str, Any]:
    """Loki's answer to a count."""
    result = [{"metric": {}, "value": [time(), str(count)]}] if count else []
    return success({"resultType": "vector", "result": result})


def component(name: str, state: str = "healthy", message: str = "started component") -> dict[str, Any]:
    health = {"state": state, "message": message, "updatedTime": TIME}
    return {"name": name, "type": "block", "localID": name, "moduleID": "", "health": health}


def flags(**changed: str) -> dict[str, Any]:
    """Prometheus' flags: those of the stack, with changes."""
    return success(
        {
            "web.enable-remote-write-receiver": changed.get("web_enable_remote_write_receiver", "true"),
            "web.enable-otlp-receiver": changed.get("web_enable_otlp_receiver", "true"),
            "enable-feature": changed.get("enable_feature", "exemplar-storage"),
        }
    )


def data_source(kind: str) -> dict[str, Any]:
    return {"uid": kind, "name": kind.capitalize(), "type": kind, "url": f"http://{kind}:1"}


def health_path(kind: str) -> str:
    return f"/api/datasources/uid/{kind}/health"


def healthy(kind: str) -> Mapping[str, str]:
    return {"message": f"Successfully queried the {kind.capitalize()} API.", "status": "OK"}
