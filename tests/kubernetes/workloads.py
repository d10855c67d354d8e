"""What the tests ask the rendered manifests for."""

from collections.abc import Iterable, Iterator
from typing import Any

from tests.kubernetes.rendering import Document

_WITH_PODS = ("Deployment", "StatefulSet", "Job")


def of_kind(documents: Iterable[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def named(documents: Iterable[Document], kind: str, name: str) -> Document:
    """Return the one document of that kind and name."""
    (found,) = [one for one in of_kind(documents, kind) if one["metadata"]["name"] == name]
    return found


def title(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def workloads(documents: Iterable[Document]) -> list[Document]:
    """Return what makes pods."""
    return of_kind(documents, *_WITH_PODS)


def pod(workload: Document) -> Document:
    spec: Document = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: Document) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def containers(documents: Iterable[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Yield a name for errors, the pod and each of its containers."""
    for workload in workloads(documents):
        spec = pod(workload)
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            yield f"{title(workload)} {container['name']}", spec, container


def selects(selector: Document, of_pod: dict[str, str]) -> bool:
    """Return whether a label selector chooses a pod; an empty one chooses all."""
    wanted: dict[str, str] = selector.get("matchLabels", {})
    matches = wanted.items() <= of_pod.items()
    return matches and all(_holds(one, of_pod) for one in selector.get("matchExpressions", ()))


def _holds(expression: Document, of_pod: dict[str, str]) -> bool:
    values: list[str] = expression["values"]
    return (of_pod.get(expression["key"]) in values) == bool(expression["operator"] == "In")


def port_names(workload: Document) -> set[str]:
    """Return the names of the ports of a workload's containers."""
    return {port["name"] for container in pod(workload)["containers"] for port in container.get("ports", ())}


def environment(documents: list[Document], container: Document) -> dict[str, Any]:
    """Return a container's variables: their values, or where a value is from. Those of Secrets are not known here."""
    found: dict[str, Any] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= named(documents, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", ()):
        found[variable["name"]] = variable.get("value", variable.get("valueFrom"))
    return found
