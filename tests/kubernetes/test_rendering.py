"""What the tests render is what kustomize renders."""

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from tests.kubernetes.rendering import FOLDER, OVERLAYS, Document, render
from tests.kubernetes.workloads import title


def test_rendering_unknown_feature(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("kind: Kustomization\npatches: []\n")
    with pytest.raises(ValueError, match="patches"):
        render(tmp_path)


def test_rendering_unknown_feature_of_generator(tmp_path: Path) -> None:
    generator = "configMapGenerator: [{name: a, literals: [B=c]}]"
    (tmp_path / "kustomization.yaml").write_text(f"kind: Kustomization\n{generator}\n")
    with pytest.raises(ValueError, match="literals"):
        render(tmp_path)


def by_title(documents: list[Document]) -> dict[str, Document]:
    return {title(document): document for document in documents}


def without_hashes(document: Any, names: set[str]) -> Any:
    """Return a document with the names of generated ConfigMaps as they stand in the files."""
    if isinstance(document, dict):
        return {key: without_hashes(value, names) for key, value in document.items()}
    if isinstance(document, list):
        return [without_hashes(value, names) for value in document]
    if isinstance(document, str) and (found := re.fullmatch(r"(.+)-[0-9a-z]{10}", document)) and found[1] in names:
        return found[1]
    return document


# Not a skip: CI has no kubectl, and does not need it.
if which("kubectl"):

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_rendering_is_that_of_kubectl(name: str) -> None:
        rendered = subprocess.run(["kubectl", "kustomize", FOLDER / name], capture_output=True, text=True, check=True)
        ours = by_title(render(FOLDER / name))
        names = {one["metadata"]["name"] for one in ours.values() if one["kind"] == "ConfigMap"}
        theirs = by_title([without_hashes(one, names) for one in yaml.safe_load_all(rendered.stdout)])
        assert theirs == ours
