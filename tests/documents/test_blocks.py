"""Blocks of configuration in the documents are what their programs accept."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from textwrap import dedent
from typing import Any

import pytest
import yaml

from tests.documents.documents import Document, documents
from tests.kubernetes import workloads
from tests.kubernetes.rendering import overlay
from tests.support.service import ROOT

SCALING = Document(ROOT / "docs" / "scaling.md")
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(document: Document) -> Iterator[Any]:
    """Yield each block of YAML of a document, read."""
    for _, text in BLOCK.findall(document.text):
        yield yaml.safe_load(dedent(text))


@pytest.mark.parametrize("document", documents(), ids=str)
def test_yaml_is_valid(document: Document) -> None:
    assert all(block is not None for block in blocks(document))


def test_scrape_of_pods_is_valid(tmp_path: Path) -> None:
    """But for the discovery, which Debian builds Prometheus without."""
    if which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    (job,) = [block for block in blocks(SCALING) if "kubernetes_sd_configs" in block]
    file = tmp_path / "prometheus.yml"
    job = {
        "job_name": "user-api",
        "relabel_configs": job["relabel_configs"],
        "static_configs": [{"targets": ["pod:1"]}],
    }
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    checked = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_scrape_of_pods_keeps_those_of_the_service() -> None:
    (job,) = [block for block in blocks(SCALING) if "kubernetes_sd_configs" in block]
    deployment = workloads.named(overlay("direct"), "Deployment", "user-api")
    rules = {tuple(rule["source_labels"]): rule["regex"] for rule in job["relabel_configs"]}
    component = rules[("__meta_kubernetes_pod_label_app_kubernetes_io_component",)]
    assert component == workloads.labels(deployment)["app.kubernetes.io/component"]
    assert rules[("__meta_kubernetes_pod_container_port_name",)] in workloads.port_names(deployment)
    (service_discovery,) = job["kubernetes_sd_configs"]
    assert service_discovery["namespaces"]["names"] == [deployment["metadata"]["namespace"]]


def test_kustomization_of_your_own_names_what_there_is() -> None:
    (kustomization,) = [block for block in blocks(SCALING) if block.get("kind") == "Kustomization"]
    documents_of = overlay("collector")
    for generator in kustomization["configMapGenerator"]:
        data = workloads.named(documents_of, "ConfigMap", generator["name"])["data"]
        assert {pair.partition("=")[0] for pair in generator["literals"]} <= set(data)
    images = {container["image"].partition(":")[0] for _, _, container in workloads.containers(documents_of)}
    assert {image["name"] for image in kustomization["images"]} <= images
