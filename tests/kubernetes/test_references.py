"""Labels, ports, names and volumes lead to what there is."""

import re

from tests.kubernetes import workloads as of
from tests.kubernetes.rendering import Document


def test_labels_match_selectors(documents: list[Document]) -> None:
    for workload in of.of_kind(documents, "Deployment", "StatefulSet"):
        assert of.selects(workload["spec"]["selector"], of.labels(workload)), of.title(workload)


def test_selectors_choose_pods(documents: list[Document]) -> None:
    """Services, budgets, policies and monitors choose some pod, and never the pods of two workloads by accident."""
    for document in of.of_kind(documents, "Service", "PodDisruptionBudget"):
        selector = document["spec"]["selector"]
        chosen = [
            of.title(one)
            for one in of.workloads(documents)
            if of.selects(selector if "matchLabels" in selector else {"matchLabels": selector}, of.labels(one))
        ]
        assert len(chosen) == 1, f"{of.title(document)} chooses {chosen}"
    for policy in of.of_kind(documents, "NetworkPolicy"):
        assert any(of.selects(policy["spec"]["podSelector"], of.labels(one)) for one in of.workloads(documents))


def test_services_ports_exist(documents: list[Document]) -> None:
    for service in of.of_kind(documents, "Service"):
        (chosen,) = [
            one
            for one in of.workloads(documents)
            if of.selects({"matchLabels": service["spec"]["selector"]}, of.labels(one))
        ]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= of.port_names(chosen), of.title(service)


def test_policies_named_ports_exist(documents: list[Document]) -> None:
    """The port of an ingress is one of the pod's that it protects, that of an egress one of the pod's that it names."""
    for policy in of.of_kind(documents, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", ()):
            chosen = [
                one for one in of.workloads(documents) if of.selects(policy["spec"]["podSelector"], of.labels(one))
            ]
            assert {port["port"] for port in rule["ports"]} <= set.union(*map(of.port_names, chosen)), of.title(policy)
        for rule in policy["spec"].get("egress", ()):
            peers = [peer["podSelector"] for peer in rule.get("to", ()) if "namespaceSelector" not in peer]
            chosen = [one for one in of.workloads(documents) if any(of.selects(peer, of.labels(one)) for peer in peers)]
            named = {port["port"] for port in rule["ports"] if isinstance(port["port"], str)}
            assert named <= set().union(*map(of.port_names, chosen)), of.title(policy)


def test_policy_lets_the_service_reach_its_endpoints(documents: list[Document]) -> None:
    """Host and port of every endpoint in the environment are in a policy of the service's pods."""
    deployment = of.named(documents, "Deployment", "user-api")
    allowed = set()
    for policy in of.of_kind(documents, "NetworkPolicy"):
        if of.selects(policy["spec"]["podSelector"], of.labels(deployment)):
            for rule in policy["spec"].get("egress", ()):
                allowed |= {port["port"] for port in rule["ports"]}
    names = {"otlp-grpc": 4317, "otlp-http": 4318}
    numbers = {names.get(port, port) for port in allowed}
    environment = of.environment(documents, of.pod(deployment)["containers"][0])
    endpoints = [value for name, value in environment.items() if name.endswith("_ENDPOINT")]
    assert endpoints
    for endpoint in endpoints:
        assert int(re.findall(r":(\d+)", endpoint)[0]) in numbers, endpoint


def test_names_referenced_exist(documents: list[Document]) -> None:
    maps = {one["metadata"]["name"] for one in of.of_kind(documents, "ConfigMap")}
    for name, pod, container in of.containers(documents):
        wanted = {source["configMapRef"]["name"] for source in container.get("envFrom", ()) if "configMapRef" in source}
        wanted |= {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
        assert wanted <= maps, name
    for scaler in of.of_kind(documents, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = of.named(documents, target["kind"], target["name"])
        assert "replicas" not in workload["spec"], "the autoscaler owns the number of pods"


def test_containers_mount_what_there_is(documents: list[Document]) -> None:
    for name, pod, container in of.containers(documents):
        volumes = {volume["name"] for volume in pod["volumes"]}
        claims = {
            claim["metadata"]["name"]
            for one in of.of_kind(documents, "StatefulSet")
            if of.pod(one) is pod
            for claim in one["spec"]["volumeClaimTemplates"]
        }
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes | claims, name
