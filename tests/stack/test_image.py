"""The Dockerfile: hadolint's rules, and the promises that it has no rule for."""

import re
import subprocess
import sysconfig
from pathlib import Path

from tests.support.service import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    # Of the same environment as the tests: it is a development dependency.
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    return subprocess.run([hadolint, "--no-color", file], capture_output=True, text=True, check=False)


def instructions() -> list[str]:
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"))
    return [line.strip() for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


def test_image_hadolint() -> None:
    answer = lint(DOCKERFILE)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_image_hadolint_finds_faults(tmp_path: Path) -> None:
    faulty = tmp_path / "Dockerfile"
    faulty.write_text("FROM python:latest\nRUN pip install gunicorn\nCMD gunicorn\n")
    answer = lint(faulty)
    assert answer.returncode != 0
    assert {"DL3007", "DL3013", "DL3025"} <= set(re.findall(r"DL\d+", answer.stdout))


def test_image_final_stage() -> None:
    lines = instructions()
    final = lines[max(index for index, line in enumerate(lines) if line.startswith("FROM")) :]
    users = [line for line in final if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    # Nothing is changed after the user: all files belong to root.
    after = final[final.index(users[0]) :]
    assert not [line for line in after if line.startswith(("RUN", "ADD")) or "--chown" in line]
    assert [line for line in final if line.startswith("CMD ")] == [
        'CMD ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", "0.0.0.0:8080", "userapi.wsgi"]'
    ]
    assert not [line for line in final if line.startswith("ENTRYPOINT")]
    assert "ARG PYTHON_IMAGE=python:3.13-slim-trixie" in lines
    assert {line for line in lines if line.startswith("FROM")} == {
        "FROM ${PYTHON_IMAGE} AS build",
        "FROM ${PYTHON_IMAGE}",
    }


def test_image_packages_by_hash() -> None:
    installs = [line for line in instructions() if "pip" in line and " install " in line and "apt-get" not in line]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "--only-binary=:all:" in installs[0]


def test_image_version_is_the_service_s() -> None:
    import userapi

    assert f"ARG VERSION={userapi.__version__}" in instructions()


def test_image_context_is_what_is_copied() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for line in instructions()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == allowed
    assert all((ROOT / path).exists() for path in allowed)
