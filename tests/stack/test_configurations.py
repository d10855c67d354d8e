"""The files of the servers fit together: names, ports, paths, sums. tests.stack.check asks the servers themselves."""

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from tests.stack.batches import largest_batch
from tests.stack.compose import everything
from tests.support.prometheus import scrape_configuration
from tests.support.service import ROOT

DEPLOY = ROOT / "deploy"
ALLOY = {file.name: file.read_text(encoding="utf-8") for file in sorted((DEPLOY / "alloy").glob("*.alloy"))}
GIB = 1 << 30


def loaded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return found


def prometheus() -> dict[str, Any]:
    return loaded("prometheus/prometheus.yml")


def promtool(file: Path) -> subprocess.CompletedProcess[str]:
    if which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    return subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)


def promtool_version() -> int:
    if which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    answer = subprocess.run(["promtool", "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\d+)\.", answer.stdout + answer.stderr)
    assert version
    return int(version[1])


def test_prometheus_configuration_by_promtool(tmp_path: Path) -> None:
    """Promtool 2 does not know what is new in 3: these keys alone are left out for it."""
    configuration = prometheus()
    if promtool_version() < 3:
        assert set(configuration.pop("otlp")) == {
            "translation_strategy",
            "keep_identifying_resource_attributes",
            "promote_resource_attributes",
        }
        assert configuration["storage"]["tsdb"].pop("retention") == {"time": "15d", "size": "5GB"}
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    answer = promtool(file)
    assert answer.returncode == 0, answer.stderr
    configuration["scrape_configs"][0]["dns_sd_config"] = configuration["scrape_configs"][0].pop("dns_sd_configs")
    file.write_text(yaml.safe_dump(configuration))
    assert promtool(file).returncode != 0


def test_prometheus_scrapes_as_documented() -> None:
    (documented,) = scrape_configuration()["scrape_configs"]
    (job,) = (job for job in prometheus()["scrape_configs"] if job["job_name"] == documented["job_name"])
    assert job["metric_relabel_configs"] == documented["metric_relabel_configs"]


def test_prometheus_scrapes_every_component() -> None:
    (user_api, pipeline) = prometheus()["scrape_configs"]
    static = {entry["labels"]["component"]: entry["targets"] for entry in pipeline["static_configs"]}
    looked_up = {entry["names"][0]: entry["port"] for entry in pipeline["dns_sd_configs"]}
    assert static == {"prometheus": ["localhost:9090"], "loki": ["loki:3100"], "grafana": ["grafana:3000"]}
    assert looked_up == {"alloy": 12345, "tempo": 3200, "jaeger": 8888}
    # In every profile, or looked up: a part of another profile is no target that is down.
    assert set(static) | set(looked_up) == set(everything()) - {
        "user-api", "user-api-direct", "migrate", "load", "postgres", "grafana-jaeger", "proxy",
        "greeter", "worker",
    }  # fmt: skip
    assert user_api["dns_sd_configs"][0]["names"] == ["user-api-direct"]


def test_prometheus_series_outlive_addresses() -> None:
    """By name, which is right for one container of it: Compose makes no second one with a name of its own."""
    for job in prometheus()["scrape_configs"]:
        (relabeled,) = (one for one in job["relabel_configs"] if one.get("target_label") == "instance")
        for looked_up in job["dns_sd_configs"]:
            (name,), port = looked_up["names"], looked_up["port"]
            assert everything()[name]["container_name"] == name
            found = re.fullmatch(relabeled["regex"], f"{name};172.18.0.7:{port}")
            assert found
            assert found.expand(relabeled["replacement"].replace("$", "\\")) == f"{name}:{port}"


def test_prometheus_flags_for_what_is_sent() -> None:
    flags = set(everything()["prometheus"]["command"])
    assert {
        "--web.enable-remote-write-receiver",
        "--web.enable-otlp-receiver",
        "--enable-feature=exemplar-storage",
    } <= flags


def test_labels_same_both_ways() -> None:
    promoted = prometheus()["otlp"]["promote_resource_attributes"]
    written = re.findall(
        r'set\(attributes\["([a-z.]+)"\], resource\.attributes\["([a-z.]+)"\]\)', ALLOY["metrics-remote_write.alloy"]
    )
    assert {one for one, _ in written} == {two for _, two in written} == set(promoted)
    assert prometheus()["otlp"]["keep_identifying_resource_attributes"] is True
    assert re.search(r"keep_identifying_resource_attributes = true", ALLOY["metrics-remote_write.alloy"])
    indexed = loaded("loki/loki.yaml")["limits_config"]["otlp_config"]["resource_attributes"]["attributes_config"]
    assert set(indexed[0]["attributes"]) == set(promoted)


@pytest.mark.parametrize("variable", ["ALLOY_METRICS", "ALLOY_TRACES"])
def test_alloy_ways_are_files(variable: str) -> None:
    (prefix, default) = re.findall(
        rf'"([a-z]+-)" \+ coalesce\(sys\.env\("{variable}"\), "([a-z_]+)"\)', ALLOY["config.alloy"]
    )[0]
    ways = {name.removeprefix(prefix).removesuffix(".alloy") for name in ALLOY if name.startswith(prefix)}
    assert default in ways
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    (comment, shown) = re.findall(rf"# (.+)\n# {variable}=(.+)", example)[0]
    assert shown == default
    assert {way for way in ways if re.search(rf"\b{way}\b", comment)} == ways
    assert everything()["alloy"]["environment"][variable] == default


def test_alloy_ways_have_the_same_shape() -> None:
    for prefix in ("metrics-", "traces-"):
        shapes = [
            (
                set(re.findall(r'^\targument "(\w+)"', text, re.MULTILINE)),
                re.findall(r'^\texport "(\w+)"', text, re.MULTILINE),
            )
            for name, text in ALLOY.items()
            if name.startswith(prefix)
        ]
        assert len(shapes) > 1
        assert all(shape == shapes[0] for shape in shapes)


def test_alloy_listens_at_ipv6_too() -> None:
    assert set(re.findall(r'endpoint = "([^"]*:43\d\d)"', ALLOY["config.alloy"])) == {":4317", ":4318"}
    assert "--server.http.listen-addr=:12345" in everything()["alloy"]["command"]


def queues() -> list[dict[str, str]]:
    """Return the settings of each queue that leads to a backend."""
    found = []
    for name, text in ALLOY.items():
        blocks = re.findall(r"(?ms)^(\t*)sending_queue \{\n(.*?)^\1\}", text)
        found += [{"file": name, **dict(re.findall(r"(\w+)\s+= (\S+)", block))} for _, block in blocks]
    return found


def test_alloy_queues_on_disk_without_time_limit() -> None:
    assert len(queues()) == 4
    for queue in queues():
        assert queue["storage"] in {"otelcol.storage.file.queue.handler", "argument.storage.value"}, queue
        assert queue["queue_size"] in {"1073741824", "536870912", "268435456"}
    for name, text in ALLOY.items():
        retries = len(re.findall(r"\bretry(?:_on_failure)? \{", text))
        assert retries == len(re.findall(r'max_elapsed_time = "0s"', text)) == text.count("sending_queue {"), name
    assert "fsync     = true" in ALLOY["config.alloy"]


def test_alloy_queues_hold_more_than_an_hour() -> None:
    """The sum in config.alloy: bytes per request as measured, 100 requests per second."""
    per_request = dict(re.findall(r"^//   (traces|logs) +(\d+) bytes a request", ALLOY["config.alloy"], re.MULTILINE))
    assert set(per_request) == {"traces", "logs"}
    sizes = {"traces": 1 << 30, "logs": 512 << 20}
    for signal, size in sizes.items():
        assert size > 2 * int(per_request[signal]) * 100 * 3600
        assert f"queue_size    = {size}\n" in ALLOY["config.alloy"]


def redaction() -> dict[str, list[str]]:
    """Return the statements of Alloy's second line of defence, by context."""
    found = re.findall(r'context    = "(\w+)"\n\t+statements = \[\n(.*?)\n\t+\]\n', ALLOY["config.alloy"], re.DOTALL)
    return {context: re.findall("`(.*)`", block) for context, block in found}


def test_alloy_treats_attributes_everywhere_alike() -> None:
    """tests.stack.redaction tries the statements themselves."""
    of_attributes = {
        context: [one for one in statements if re.search(r"\battributes\b", one)]
        for context, statements in redaction().items()
    }
    assert set(of_attributes) == {"span", "spanevent", "log"}
    assert of_attributes["span"] == of_attributes["spanevent"] == of_attributes["log"]


def deleted(name: str) -> bool:
    patterns = [re.match(r'delete_matching_keys\(attributes, "(.*)"\)', one) for one in redaction()["span"]]
    return any(re.search(found[1], name) for found in patterns if found)


@pytest.mark.parametrize(
    "name",
    [
        *("http.request.header.authorization", "http.request.header.proxy_authorization", "http.request.header.cookie"),
        *("http.response.header.set-cookie", "http.response.header.set_cookie", "http.request.header.X_Api_Key"),
        *("password", "user.passwd", "client_secret", "accessToken", "app.api-key", "apikey", "session_id"),
    ],
)
def test_alloy_deletes_attributes_of_secrets(name: str) -> None:
    assert deleted(name)


@pytest.mark.parametrize(
    "name", ["http.request.header.accept", "http.route", "max_tokens", "secret_count", "session.id", "password_changed"]
)
def test_alloy_keeps_other_attributes(name: str) -> None:
    assert not deleted(name)


def test_alloy_deletes_the_documented_names() -> None:
    text = " ".join((ROOT / "docs" / "stack.md").read_text(encoding="utf-8").split())
    (names,) = re.findall("attributes whose name ends in (.*?), and what follows", text)
    assert {"password", "token", "api_key"} <= set(re.findall("`(.*?)`", names))
    assert all(deleted(f"app.{name}") for name in re.findall("`(.*?)`", names))


def test_backends_take_what_an_outage_held_back() -> None:
    assert prometheus()["storage"]["tsdb"]["out_of_order_time_window"] == "3h"
    assert loaded("loki/loki.yaml")["ingester"]["max_chunk_age"] == "6h"  # records may be half of it behind
    assert loaded("tempo/tempo.yaml")["live_store"]["wal"]["ingestion_time_range_slack"] == "3h"


def test_tempo_stops_before_it_is_killed() -> None:
    """Its worker waits for compaction in any case, its metrics for a Prometheus that is down: a minute by default."""
    tempo = loaded("tempo/tempo.yaml")
    waits = [
        tempo["backend_worker"]["finish_on_shutdown_timeout"],
        tempo["metrics_generator"]["storage"]["remote_write_flush_deadline"],
    ]
    grace = everything()["tempo"]["stop_grace_period"]
    assert sum(int(each.removesuffix("s")) for each in waits) < int(grace.removesuffix("s"))


def test_loki_takes_what_alloy_batches() -> None:
    """Records grow inside of Loki, each by its resource's attributes: `tests.stack.check` asks a real one."""
    loki = loaded("loki/loki.yaml")
    bounds = [
        loki["server"]["grpc_server_max_recv_msg_size"],
        loki["server"]["grpc_server_max_send_msg_size"],
        loki["limits_config"]["ingestion_burst_size_mb"] << 20,
        int(loki["limits_config"]["per_stream_rate_limit_burst"].removesuffix("MB")) << 20,
    ]
    assert min(bounds) >= 60 * largest_batch()


def test_backends_keep_within_bounds() -> None:
    assert prometheus()["storage"]["tsdb"]["retention"] == {"time": "15d", "size": "5GB"}
    loki = loaded("loki/loki.yaml")
    assert loki["limits_config"]["retention_period"] == "168h"
    assert loki["compactor"]["retention_enabled"] is True
    assert loaded("tempo/tempo.yaml")["overrides"]["defaults"]["compaction"]["block_retention"] == "48h"


def test_addresses_are_those_of_services() -> None:
    names = set(everything()) | {"localhost", "traces"}
    texts = [
        *ALLOY.values(),
        *(
            file.read_text(encoding="utf-8")
            for name in ("tempo", "loki", "prometheus")
            for file in (DEPLOY / name).glob("*.y*ml")
        ),
        *(str(service.get("environment", "")) for service in everything().values()),
    ]
    addresses = {address for text in texts for address in re.findall(r"https?://(?:[^/@\s'\"]*@)?([a-z-]+):\d+", text)}
    assert addresses <= names
    assert {"prometheus", "loki", "alloy", "grafana"} <= addresses


def test_mounts_exist() -> None:
    for name, service in everything().items():
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                assert Path(volume["source"]).is_dir(), f"{name}: {volume['source']}"
