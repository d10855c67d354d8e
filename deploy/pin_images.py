#!/usr/bin/env python3
"""Print a Compose override that pins every image by the digest of what was pulled.

    docker compose -f docker-compose.yml --profile "*" pull --ignore-buildable && docker pull python:3.13-slim-trixie
    deploy/pin_images.py > pinned.yml && mv pinned.yml docker-compose.override.yml

Options go to Docker Compose: `deploy/pin_images.py -f docker-compose.direct.yml > digests.yml`. Without any it reads
docker-compose.yml alone, never a former override. Exit code 1 where an image was not pulled or has no digest.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

DOCKERFILE = Path(__file__).with_name("Dockerfile")
BASE = Path(__file__).parents[1] / "docker-compose.yml"


def output(*command: str) -> str:
    """Return what a command prints; its failure ends the program, its errors are shown."""
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if answer.returncode:
        raise SystemExit(f"pin_images: `{' '.join(command)}` failed")
    return answer.stdout


def pinned(image: str) -> str:
    """Return the image's name with the digest of its repository."""
    repository = image.rpartition(":")[0]
    known = json.loads(output("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image))
    digests = [digest for name, _, digest in (each.partition("@") for each in known) if name == repository]
    if not digests:
        raise SystemExit(f"pin_images: {image} has no digest from a registry; pull it first")
    return f"{image}@{digests[0]}"


def main(arguments: list[str]) -> None:
    arguments = arguments or ["-f", str(BASE)]
    config = output("docker", "compose", *arguments, "--profile", "*", "config", "--format", "json")
    services = json.loads(config)["services"]
    own = {service["image"] for service in services.values() if "build" in service}
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert base, "the Dockerfile names its base"  # noqa: S101
    override: dict[str, object] = {
        name: {"image": pinned(service["image"])} for name, service in services.items() if service["image"] not in own
    }
    for name, service in services.items():
        if "build" in service:
            override[name] = {"build": {"args": {"PYTHON_IMAGE": pinned(base[1])}}}
    print(json.dumps({"services": override}, indent=2))  # JSON is YAML


if __name__ == "__main__":
    main(sys.argv[1:])
