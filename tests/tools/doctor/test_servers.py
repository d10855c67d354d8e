"""The way through Alloy, Tempo, Loki, Prometheus and Grafana, and each of them broken on purpose."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.answering import Reply
from tests.support.prometheus import Prometheus, prometheus_is_missing
from tests.support.routes import Route
from tests.support.shared import made_once
from tests.tools.doctor.conftest import SECRETS, Diagnosis, Pair, diagnose, routes
from tests.tools.doctor.servers import (
    Servers,
    component,
    data_source,
    flags,
    health_path,
    healthy,
    recent_lines,
    success,
)

SCRAPED = Route("direct", "http/protobuf")
Broken = tuple[str, str, Any, str, str, str]
NOTHING = success({"resultType": "vector", "result": []})
ALL = {"resultType": "vector", "result": [{"metric": {"service_name": "user-api"}, "value": [1.0, "7"]}]}


def examine(
    pair: Pair, servers: Servers, wait: float = 30, poll: float = 0.2, changed: Mapping[str, str] | None = None
) -> Diagnosis:
    with servers.serve() as urls:
        places = {**urls, "service": pair.places["service"], "console": "none", **(changed or {})}
        return diagnose(places, pair.env, wait=wait, poll=poll)


def test_collector_chain(pair: Pair) -> None:
    found = examine(pair, Servers(pair.console))
    states = {hop["state"] for hop in found.report["hops"] if hop["hop"] != "status"}
    assert (found.passed, states) == (True, {"ok"}), found.text
    assert found.hop("received")["detail"].startswith("traces +")
    assert found.hop("data sources")["detail"] == "Prometheus, Tempo, Loki: all reachable"


# Server, path, answer, the hop that fails, what is said of it, what its remedy names.
BROKEN: list[Broken] = [
    ("alloy", "/-/ready", Reply("Alloy is not ready.\n", 503), "collector Alloy", "HTTP 503", "see its log"),
    (
        "alloy",
        "/metrics",
        lambda _: "otelcol_receiver_accepted_spans_total 0\n",
        "received Alloy",
        "no new traces, metrics, logs received",
        "TELEMETRY_ALLOY_URL",
    ),
    ("tempo", "/ready", Reply("Some services are not Running", 503), "ready Tempo", "HTTP 503", "wait until"),
    ("tempo", "/api/v2/traces/", {"trace": {}}, "trace Tempo", "no span of this trace", "OTEL_TRACES_SAMPLER"),
    (
        "tempo",
        "/api/v2/traces/",
        {"trace": {"resourceSpans": [1]}},
        "trace Tempo",
        "is not a trace",
        "TELEMETRY_TEMPO_URL",
    ),
    ("loki", "/ready", Reply("Ingester not ready", 503), "ready Loki", "HTTP 503", "wait until"),
    (
        "loki",
        "/loki/api/v1/query_range",
        success({"resultType": "streams", "result": []}),
        "log Loki",
        ", but none of this trace within",
        "structured metadata",
    ),
    ("prometheus", "/-/ready", Reply("Service Unavailable", 503), "ready Prometheus", "HTTP 503", "wait until"),
    ("prometheus", "/api/v1/query", NOTHING, "metric Prometheus", "no request counted", "deploy/alloy/config.alloy"),
    ("prometheus", "/api/v1/query", success(ALL), "metric Prometheus", "did not change", "OTEL_METRIC_EXPORT_INTERVAL"),
    (
        "prometheus",
        "/api/v1/status/flags",
        flags(web_enable_remote_write_receiver="false", web_enable_otlp_receiver="false"),
        "metric Prometheus",
        "it accepts no pushed metrics",
        "--web.enable-remote-write-receiver",
    ),
    (
        "prometheus",
        "/api/v1/query_exemplars",
        success([]),
        "exemplar Prometheus",
        "no exemplar since",
        "send_exemplars",
    ),
    (
        "prometheus",
        "/api/v1/status/flags",
        flags(enable_feature=""),
        "exemplar Prometheus",
        "it keeps no exemplars",
        "--enable-feature=exemplar-storage",
    ),
    ("grafana", "/api/datasources", Reply({}, 401), "data sources Grafana", "HTTP 401", "TELEMETRY_GRAFANA_URL"),
    ("grafana", "/api/health", "<html>", "grafana", "is not JSON", "TELEMETRY_GRAFANA_URL"),
    (
        "grafana",
        "/api/datasources",
        [data_source("prometheus"), data_source("tempo")],
        "data sources Grafana",
        "no data source of type loki",
        "deploy/grafana/provisioning/datasources",
    ),
    (
        "grafana",
        health_path("tempo"),
        Reply({"message": "connection refused", "status": "ERROR"}, 400),
        "data sources Grafana",
        "Tempo (http://tempo:1): connection refused",
        "deploy/grafana/provisioning/datasources",
    ),
]


@pytest.fixture(scope="module")
def diagnoses(run_folder: Path, pair: Pair) -> list[Diagnosis]:
    """What the doctor finds with each of `BROKEN`, all at once: each waits for what does not come."""

    def examine_all() -> list[Diagnosis]:
        with ThreadPoolExecutor(len(BROKEN)) as pool:
            return list(pool.map(partial(examine_broken, pair), BROKEN))

    return made_once(run_folder, "doctor-broken-servers", examine_all)


def examine_broken(pair: Pair, broken: Broken) -> Diagnosis:
    server, path, answer, *_ = broken
    servers = Servers(pair.console)
    servers.answers[server][path] = answer
    return examine(pair, servers, wait=20, poll=1)


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=[f"{broken[0]} {broken[1]}" for broken in BROKEN])
def test_server_broken(diagnoses: list[Diagnosis], number: int) -> None:
    """Nothing else fails, and what depends on it is not checked."""
    found = diagnoses[number]
    *_, hop, detail, remedy = BROKEN[number]
    failed, *others = [one for one in found.report["hops"] if one["state"] == "failed"]
    assert not others, found.text
    assert f"{failed['hop']} {failed['target']}".startswith(hop), found.text
    assert detail in failed["detail"]
    assert remedy in failed["remedy"]


@pytest.mark.parametrize(("server", "path"), [("loki", "/ready"), ("alloy", "/-/ready"), ("prometheus", "/-/ready")])
def test_server_not_ready_at_first_is_asked_again(pair: Pair, server: str, path: str) -> None:
    """As Loki does after a start or a long silence."""
    servers = Servers(pair.console)
    answers = iter([Reply("Ingester not ready", 503)] * 3)
    servers.answers[server][path] = lambda _: next(answers, "ready")
    assert examine(pair, servers).passed
    assert next(answers, None) is None


def test_servers_not_ready_share_one_wait(pair: Pair) -> None:
    """The first one has all of it: the others are asked once."""
    asked: Counter[str] = Counter()

    def not_ready(server: str) -> Reply:
        asked[server] += 1
        return Reply("not ready", 503)

    servers = Servers(pair.console)
    for server, path in (("loki", "/ready"), ("tempo", "/ready"), ("prometheus", "/-/ready")):
        servers.answers[server][path] = lambda _, server=server: not_ready(server)
    found = examine(pair, servers, wait=2)
    assert found.failed == ["ready Tempo", "ready Prometheus", "ready Loki"], found.text
    assert (asked["prometheus"], asked["loki"]) == (1, 1)


def test_alloy_refuses(pair: Pair) -> None:
    servers = Servers(pair.console)
    answers = iter([servers.counters()])
    servers.answers["alloy"]["/metrics"] = lambda _: next(answers, "otelcol_receiver_refused_spans_total 5\n")
    found = examine(pair, servers, wait=1)
    assert found.hop("received")["detail"] == "traces refused by its pipeline", found.text
    assert "memory_limiter" in found.hop("received")["remedy"]
    assert found.hop("sent on")["detail"] == "because of: received Alloy"


def test_alloy_holds_back(pair: Pair) -> None:
    """Its backend is down: the queue fills."""
    servers = Servers(pair.console)
    servers.exporting = False
    servers.answers["alloy"]["/metrics"] = lambda _: servers.counters(waiting=3)
    found = examine(pair, servers, wait=10)
    assert found.hop("sent on")["detail"] == (
        "no traces, metrics, logs sent on; items wait in otlp_grpc/otelcol.exporter.otlp.tempo (3)"
    )


def test_alloy_gives_up(pair: Pair) -> None:
    servers = Servers(pair.console)
    answers = iter([servers.counters()])
    servers.answers["alloy"]["/metrics"] = lambda _: next(answers, servers.counters(failed=2))
    found = examine(pair, servers)
    assert found.hop("sent on")["detail"] == "its exporters dropped traces", found.text


def test_alloy_component_unhealthy(pair: Pair) -> None:
    servers = Servers(pair.console)
    servers.answers["alloy"]["/api/v0/web/components"] = [component("otelcol.exporter.otlp.tempo", "unhealthy", "no")]
    found = examine(pair, servers)
    assert (found.passed, found.hop("collector")["state"]) == (True, "warning"), found.text
    assert found.hop("collector")["detail"] == "otelcol.exporter.otlp.tempo is unhealthy: no"


def test_loki_knows_nothing(pair: Pair) -> None:
    servers = Servers(pair.console)
    servers.answers["loki"] |= {
        "/loki/api/v1/query_range": success({"resultType": "streams", "result": []}),
        "/loki/api/v1/query": recent_lines(0),
    }
    found = examine(pair, servers, wait=1)
    assert found.hop("log")["detail"] == "no record of user-api at all within 1 s"
    assert "service_name (deploy/loki/loki.yaml)" in found.hop("log")["remedy"]


def test_servers_left_out(pair: Pair) -> None:
    """`none` means that there is no such server."""
    left_out = dict.fromkeys(("alloy", "tempo", "jaeger", "loki", "prometheus", "grafana"), "none")
    found = examine(pair, Servers(pair.console), wait=1, changed=left_out)
    assert found.passed, found.text
    assert {hop["hop"] for hop in found.report["hops"] if hop["state"] == "not checked"} == {
        "collector",
        "ready",
        "grafana",
    }


def test_jaeger_in_place_of_tempo(pair: Pair) -> None:
    """Given, or found because Tempo is not there; recorded from Jaeger 2.20, whose ids are hex."""
    servers = Servers(pair.console)
    del servers.answers["tempo"]["/ready"]
    servers.answers["grafana"][health_path("jaeger")] = healthy("jaeger")
    servers.answers["tempo"] |= {
        "/api/v3/services": {"services": ["user-api"]},
        "/api/v3/traces/": lambda query: {"result": servers.answers["tempo"]["/api/v2/traces/"](query)["trace"]},
    }
    with servers.serve() as urls:
        jaeger = urls.pop("tempo")
        places = {**urls, "jaeger": jaeger, "service": pair.places["service"], "console": "none"}
        found = diagnose(places, pair.env)
    assert found.hop("trace")["target"] == "Jaeger"
    assert found.passed, found.text
    assert found.hop("data sources")["detail"] == "Prometheus, Loki, Jaeger: all reachable"


def scrape(pair: Pair, folder: Path, target: str, token: str | None, wait: float) -> Diagnosis:
    """Examine the service beside a real Prometheus that scrapes `target`."""
    server = Prometheus(folder, target, token=token)
    with server:
        places = {**pair.places, "prometheus": server.url, "tempo": "none", "loki": "none", "jaeger": "none"}
        return diagnose({**places, "console": "none", "grafana": "none"}, pair.env, wait=wait, poll=1)


@routes(SCRAPED)
@pytest.mark.skipif(prometheus_is_missing(), reason="Prometheus is not installed (Debian: apt-get install prometheus)")
def test_real_prometheus_scrapes(pair: Pair, tmp_path: Path) -> None:
    found = scrape(pair, tmp_path, f"127.0.0.1:{pair.service.port}", SECRETS["METRICS_TOKEN"], wait=60)
    assert {found.hop(name)["state"] for name in ("scrape", "metric", "exemplar")} == {"ok"}, found.text
    assert found.passed
    assert "hush" not in found.text


@routes(SCRAPED)
@pytest.mark.skipif(prometheus_is_missing(), reason="Prometheus is not installed (Debian: apt-get install prometheus)")
@pytest.mark.parametrize(
    ("elsewhere", "detail", "remedy"),
    [(True, "no scrape target matches", "scrape_configs"), (False, "401 Unauthorized", "METRICS_TOKEN")],
)
def test_real_prometheus_does_not_scrape(
    pair: Pair, tmp_path: Path, *, elsewhere: bool, detail: str, remedy: str
) -> None:
    """It scrapes something else, or without the token that the service wants."""
    target = "127.0.0.1:1" if elsewhere else f"127.0.0.1:{pair.service.port}"
    found = scrape(pair, tmp_path, target, None, wait=14)  # it looks for targets every five seconds
    hop = found.hop("scrape")
    assert found.failed == ["scrape Prometheus"], found.text
    assert (detail in hop["detail"], remedy in hop["remedy"]) == (True, True), hop
    assert {found.hop(name)["state"] for name in ("metric", "exemplar")} == {"not checked"}


@routes(SCRAPED)
def test_scraped_service_is_down(pair: Pair) -> None:
    """A target that is down, with its error; recorded from Prometheus 3.14."""
    servers = Servers(pair.console)
    url = f"http://127.0.0.1:{pair.service.port}/metrics"
    error = f'Get "{url}": dial tcp 127.0.0.1:{pair.service.port}: connect: connection refused'
    target = {"labels": {"job": "user-api"}, "scrapeUrl": url, "health": "down", "lastError": error}
    servers.answers["prometheus"] |= {"/api/v1/targets": success({"activeTargets": [target]}), "/api/v1/query": NOTHING}
    with servers.serve() as urls:
        places = {"prometheus": urls["prometheus"], "tempo": "none", "loki": "none", "grafana": "none"}
        places["alloy"] = urls["alloy"]
        found = diagnose({**pair.places, **places, "console": "none", "jaeger": "none"}, pair.env, wait=0.5)
    assert found.failed == ["scrape Prometheus"], found.text
    assert found.hop("collector")["detail"] == "not part of the path in mode direct"
    assert found.hop("scrape")["detail"] == f"{url} is down: {error}"
    assert found.hop("scrape")["remedy"] == (
        "correct the host and port of the target in deploy/prometheus/prometheus.yml"
    )
