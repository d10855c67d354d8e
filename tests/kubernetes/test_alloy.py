"""Kubernetes runs the Alloy of the Compose stack: its files, variables, image and options."""

import re

import pytest
import yaml

from tests.kubernetes import workloads as of
from tests.kubernetes.rendering import Document, overlay
from tests.support.service import ROOT

FILES = ROOT / "deploy" / "alloy"
WITH_ALLOY = ("collector", "collector-scaled")


@pytest.fixture(params=WITH_ALLOY)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return overlay(request.param)


def compose() -> Document:
    """Return Alloy as the Compose stack runs it."""
    service: Document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["alloy"]
    return service


def alloys(documents: list[Document]) -> list[Document]:
    return [one for one in of.workloads(documents) if of.labels(one)["app.kubernetes.io/name"] == "alloy"]


def environments(documents: list[Document]) -> list[dict[str, str]]:
    return [of.environment(documents, of.pod(one)["containers"][0]) for one in alloys(documents)]


def test_alloy_configuration_is_all_of_its_files(documents: list[Document]) -> None:
    data = of.named(documents, "ConfigMap", "alloy")["data"]
    assert data == {file.name: file.read_text(encoding="utf-8") for file in FILES.glob("*.alloy")}


def test_alloy_variables_are_read(documents: list[Document]) -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in FILES.glob("*.alloy"))
    known = set(re.findall(r'sys\.env\("(\w+)"\)', text))
    assert known
    for environment in environments(documents):
        assert set(environment) <= known


def test_alloy_ways_are_files(documents: list[Document]) -> None:
    for environment in environments(documents):
        for variable, prefix in (("ALLOY_TRACES", "traces"), ("ALLOY_METRICS", "metrics")):
            if variable in environment:
                assert (FILES / f"{prefix}-{environment[variable]}.alloy").is_file()


def test_alloy_hosts_in_the_namespace_are_services(documents: list[Document]) -> None:
    """A name without a dot is one of this namespace."""
    services = {one["metadata"]["name"] for one in of.of_kind(documents, "Service")}
    user_api = of.environment(documents, of.pod(of.named(documents, "Deployment", "user-api"))["containers"][0])
    values = [user_api["OTEL_EXPORTER_OTLP_ENDPOINT"]]
    for environment in environments(documents):
        values += [value for name, value in environment.items() if re.search("_(URL|GRPC|TIER)$", name)]
    hosts = {re.sub(r"^\w+://|[:/].*$", "", re.sub(r"^\w+://", "", value)) for value in values}
    assert {host for host in hosts if "." not in host} <= services


def test_alloy_as_in_compose(documents: list[Document]) -> None:
    for workload in alloys(documents):
        pod = of.pod(workload)
        (container,) = pod["containers"]
        assert container["image"] == compose()["image"]
        assert container["args"] == compose()["command"]
        assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == compose()["user"]


def test_alloy_grace_as_in_compose(documents: list[Document]) -> None:
    """At its end it gives an unreachable receiver of remote write a minute."""
    for workload in alloys(documents):
        assert of.pod(workload)["terminationGracePeriodSeconds"] >= int(
            compose()["stop_grace_period"].removesuffix("s")
        )


def test_tail_tier_is_headless_and_samples() -> None:
    """Every Alloy of the second tier has an address of its own, and decides on whole traces."""
    documents = overlay("collector-scaled")
    gateway, tier = (
        of.environment(documents, of.pod(of.named(documents, kind, name))["containers"][0])
        for kind, name in (("Deployment", "alloy-gateway"), ("StatefulSet", "alloy"))
    )
    assert (gateway["ALLOY_TRACES"], tier["ALLOY_TRACES"]) == ("balance", "tail")
    service = of.named(documents, "Service", gateway["ALLOY_TAIL_TIER"])
    assert service["spec"]["clusterIP"] == "None"
    assert of.selects(
        {"matchLabels": service["spec"]["selector"]}, of.labels(of.named(documents, "StatefulSet", "alloy"))
    )


def test_disk_holds_full_queues() -> None:
    """Twice, because a file is copied while it is compacted."""
    claim = of.named(overlay("collector"), "StatefulSet", "alloy")["spec"]["volumeClaimTemplates"][0]["spec"]
    text = "".join(file.read_text(encoding="utf-8") for file in (FILES / "config.alloy", FILES / "metrics-otlp.alloy"))
    queues = sum(int(size) for size in re.findall(r"^\s*queue_size\s*=\s*(\d+)$", text, re.MULTILINE))
    storage = claim["resources"]["requests"]["storage"]
    assert storage.endswith("Gi")
    assert int(storage.removesuffix("Gi")) << 30 > 2 * queues
