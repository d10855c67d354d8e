"""The Compose files as `docker compose config` understands them. No engine is needed for that."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.service import ROOT

FOLDER = ROOT / "deploy" / "compose"
FILES = [ROOT / "docker-compose.yml", ROOT / "docker-compose.direct.yml", *sorted(FOLDER.glob("*.yml"))]
SECRETS = {
    "DJANGO_SECRET_KEY": "a-key-of-the-tests",
    "POSTGRES_PASSWORD": "a-password-of-the-tests",
    "DJANGO_SUPERUSER_PASSWORD": "another-password-of-the-tests",
}


class Choice(NamedTuple):
    """A file and the profiles chosen for it."""

    file: str
    profiles: str

    def __str__(self) -> str:
        return f"{self.file}-{self.profiles}"


CHOICES = [
    Choice(file, modes + load)
    for file, all_modes in {
        "docker-compose.yml": ["collector", "direct", "compare"],
        "docker-compose.direct.yml": ["collector", "direct", "compare", "jaeger"],
    }.items()
    for modes in all_modes
    for load in (("", ",load") if modes == "collector" else (",load",))
]


@cache
def command() -> tuple[str, ...]:
    """Return the command of Compose 2 or newer; skips the test where there is none."""
    for candidate in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(candidate[0]) is None:
            continue
        answer = subprocess.run([*candidate, "version", "--short"], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and int(answer.stdout.strip().removeprefix("v").split(".")[0]) >= 2:
            return candidate
    pytest.skip("Docker Compose 2 is not installed (.ci/docker-compose unpacks Debian's)")


def run(choice: Choice, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `config` with nothing in the environment but `variables` and what a process needs."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [*command(), "--env-file", os.devnull, "--file", choice.file, "config", "--format", "json"],
        cwd=ROOT,
        env={**environment, "COMPOSE_PROFILES": choice.profiles, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def _output(choice: Choice, variables: frozenset[tuple[str, str]]) -> str:
    answer = run(choice, **dict(variables))
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr, answer.stderr
    return answer.stdout


def config(choice: Choice, **variables: str) -> dict[str, Any]:
    """Return the effective configuration, with the secrets of the tests."""
    loaded: dict[str, Any] = json.loads(_output(choice, frozenset({**SECRETS, **variables}.items())))
    return loaded


def services(choice: Choice, **variables: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = config(choice, **variables)["services"]
    return found


def everything() -> dict[str, dict[str, Any]]:
    """Return every service of both files by its name."""
    compare = services(Choice("docker-compose.yml", "compare,load,proxy"))
    return services(Choice("docker-compose.direct.yml", "jaeger,load,proxy")) | compare


def variables() -> dict[str, set[str]]:
    """Return the variables that the files read, each with its defaults ('' for none)."""
    found: dict[str, set[str]] = {}
    for file in FILES:
        text = re.sub(r"(?m)(^|\s)#.*$", "", Path(file).read_text(encoding="utf-8"))
        for name, default in re.findall(r"\$\{([A-Z_]+)(?::-([^}]*)|:\?[^}]*)?\}", text):
            found.setdefault(name, set()).add(default)
    return found
