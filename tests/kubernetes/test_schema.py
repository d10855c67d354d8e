"""Every manifest is valid, used, pinned, hardened and free of secrets."""

import re
from pathlib import Path

import pytest

from tests.kubernetes import workloads as of
from tests.kubernetes.monitors import SCHEMAS
from tests.kubernetes.rendering import FOLDER, OVERLAYS, Document, environment_file, load, overlay

OLDEST, NEWEST = "1.30", "1.37"  # the oldest with `sleep` in preStop; the newest that kubernetes-validate knows
APART = ("alloy/podmonitor.yaml", "ingress.yaml")  # applied by themselves: what they need is not in every cluster


def everything() -> dict[str, Document]:
    """Every document of every overlay and of the files that stand apart, by overlay and title; each once."""
    found = {f"{name} {of.title(one)}": one for name in OVERLAYS for one in overlay(name)}
    found |= {f"{name} {of.title(one)}": one for name in APART for one in load(FOLDER / name)}
    unique: dict[str, Document] = {}
    for name, document in found.items():
        if document not in unique.values():
            unique[name] = document
    return unique


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_manifests_follow_their_schemas(version: str) -> None:
    # Imported by the process that runs this, not by each that collects tests: both take seconds.
    import jsonschema
    import kubernetes_validate

    invalid = {}
    for name, document in everything().items():
        try:
            if document["kind"] in SCHEMAS:
                jsonschema.validate(document, SCHEMAS[document["kind"]])
            else:
                kubernetes_validate.validate(document, version, strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            invalid[name] = str(error)
    assert invalid == {}


def test_manifest_files_all_used() -> None:
    used = set(APART)
    for file in FOLDER.rglob("kustomization.yaml"):
        (kustomization,) = load(file)
        used.add(str(file.relative_to(FOLDER)))
        used |= {
            str((file.parent / name).relative_to(FOLDER))
            for name in kustomization["resources"]
            if "." in Path(name).name
        }
    assert {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml")} == used


def test_secret_is_in_no_manifest() -> None:
    assert not of.of_kind(everything().values(), "Secret")
    secret = set(environment_file(FOLDER / "base" / "secret.example.env"))
    for document in of.of_kind(everything().values(), "ConfigMap"):
        assert not secret & set(document["data"])
        text = "\n".join(document["data"].values())
        assert not re.search(r"://[^/\s]*:[^/\s]*@|(?i:authorization=|bearer\s+\S{8})", text), of.title(document)


def test_images_pinned(documents: list[Document]) -> None:
    for name, _, container in of.containers(documents):
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", container["image"]), f"{name}: {container['image']}"


def test_containers_hardened(documents: list[Document]) -> None:
    for name, pod, container in of.containers(documents):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_containers_resources(documents: list[Document]) -> None:
    for name, _, container in of.containers(documents):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]), name
        assert "memory" in resources["limits"], name
