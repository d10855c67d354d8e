"""The overlays of deploy/kubernetes as kustomize renders them, for the few of its features that they use.

CI needs no kustomize so. Where kubectl is there, a test holds the two against each other.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.service import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("collector", "collector-scaled", "direct")

Document = dict[str, Any]

_KNOWN = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator"}
_KNOWN_OF_GENERATOR = {"name", "behavior", "envs", "files"}
_WITHOUT_NAMESPACE = ("Namespace",)


def load(file: Path) -> list[Document]:
    """Return the documents of a file of YAML."""
    return [one for one in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader) if one is not None]


def environment_file(file: Path) -> dict[str, str]:
    """Return the pairs of a file of NAME=value lines."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def render(folder: Path) -> list[Document]:
    """Return what the kustomization in `folder` makes; ValueError for a feature that this does not know.

    The names of generated ConfigMaps stay without the hash that kustomize appends.
    """
    (kustomization,) = load(folder / "kustomization.yaml")
    if unknown := set(kustomization) - _KNOWN:
        raise ValueError(f"{folder}: {sorted(unknown)}; expected {sorted(_KNOWN)}")
    documents: list[Document] = []
    for resource in kustomization.get("resources", ()):
        path = folder / resource
        documents += render(path) if path.is_dir() else load(path)
    for generator in kustomization.get("configMapGenerator", ()):
        _generate(folder, generator, documents)
    if namespace := kustomization.get("namespace"):
        for document in documents:
            if document["kind"] not in _WITHOUT_NAMESPACE:
                document["metadata"]["namespace"] = namespace
    return documents


@cache
def overlay(name: str) -> list[Document]:
    """Return what the overlay makes; not to be changed."""
    return render(FOLDER / name)


def _generate(folder: Path, generator: Document, documents: list[Document]) -> None:
    if unknown := set(generator) - _KNOWN_OF_GENERATOR:
        raise ValueError(f"{folder}: {sorted(unknown)}; expected {sorted(_KNOWN_OF_GENERATOR)}")
    data = dict(_data(folder, generator))
    if generator.get("behavior", "create") == "merge":
        of_name = [
            one for one in documents if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", generator["name"])
        ]
        (merged,) = of_name
        merged["data"] |= data
    else:
        metadata = {"name": generator["name"]}
        documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _data(folder: Path, generator: Document) -> Iterator[tuple[str, str]]:
    for name in generator.get("envs", ()):
        yield from environment_file(folder / name).items()
    for name in generator.get("files", ()):
        key, _, path = name.rpartition("=")
        yield key or Path(path).name, (folder / path).read_text(encoding="utf-8")
