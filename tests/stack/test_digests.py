"""`deploy/pin_images.py`: the override that it prints pins every image. A stand-in for `docker` has pulled them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack.compose import SECRETS, command
from tests.support.service import ROOT

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
BASE = "python:3.13-slim-trixie"
STAND_IN = """#!/bin/sh
case "$1" in
compose) shift; exec COMPOSE "$@" ;;
image)
  [ "$5" != "$MISSING" ] || { echo "No such image: $5" >&2; exit 1; }
  [ "$5" != "$LOCAL" ] || { echo "[]"; exit 0; }
  printf '["other/name@sha256:1", "%s@DIGEST"]' "${5%:*}" ;;
esac
"""


def environment(folder: Path, **variables: str) -> dict[str, str]:
    words = command()
    compose = " ".join([shutil.which(words[0]) or words[0], *words[1:]])
    stand_in = folder / "docker"
    stand_in.write_text(STAND_IN.replace("COMPOSE", compose).replace("DIGEST", DIGEST))
    stand_in.chmod(0o755)
    variables = {**SECRETS, "COMPOSE_PROFILES": "collector", "COMPOSE_ENV_FILES": os.devnull, **variables}
    return {**variables, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}


def pin(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "deploy/pin_images.py", *arguments],
        cwd=ROOT,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.direct.yml"])
def test_digests_pin_every_image(tmp_path: Path, file: str) -> None:
    answer = pin(tmp_path, "-f", file)
    assert answer.returncode == 0, answer.stderr
    override = tmp_path / "override.yml"
    override.write_text(answer.stdout)
    merged = subprocess.run(
        [*command(), "-f", file, "-f", str(override), "--profile", "*", "config", "--format", "json"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert merged.returncode == 0, merged.stderr
    services: dict[str, Any] = json.loads(merged.stdout)["services"]
    assert len(services) >= 8
    (built,) = [service for service in services.values() if "build" in service]
    assert built["build"]["args"] == {"PYTHON_IMAGE": f"{BASE}@{DIGEST}"}
    assert built["build"]["dockerfile"] == "deploy/Dockerfile"
    for name, service in services.items():
        assert service["image"] == built["image"] or service["image"].endswith(f"@{DIGEST}"), name


def test_digests_are_of_the_stack_s_file_not_of_a_former_override(tmp_path: Path) -> None:
    """Compose adds docker-compose.override.yml by itself, as it does what COMPOSE_FILE names."""
    former = tmp_path / "former.yml"
    former.write_text(json.dumps({"services": {"postgres": {"image": "postgres:1.0@sha256:1"}}}))
    answer = pin(tmp_path, COMPOSE_FILE=f"docker-compose.yml:{former}")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["services"]["postgres"]["image"] == f"postgres:18.6@{DIGEST}"


@pytest.mark.parametrize("image", ["postgres:18.6", BASE])
@pytest.mark.parametrize("fault", ["MISSING", "LOCAL"])
def test_digests_need_pulled_images(tmp_path: Path, image: str, fault: str) -> None:
    answer = pin(tmp_path, **{fault: image})
    assert answer.returncode == 1
    assert image in answer.stderr
    assert answer.stdout == ""
