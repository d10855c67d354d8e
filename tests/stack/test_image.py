"""The Dockerfile: hadolint's rules, and the promises that it has no rule for."""

import json
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from fnmatch import fnmatch
from pathlib import Path, PurePath

import pytest

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
    # Nothing is changed after the user, and no folder is made for it: all files belong to root.
    after = final[final.index(users[0]) :]
    assert not [line for line in after if line.startswith(("RUN", "ADD", "WORKDIR")) or "--chown" in line]
    assert "WORKDIR /app" in final
    assert [line for line in final if line.startswith("CMD ")] == [
        'CMD ["gunicorn", "-c", "deploy/gunicorn.conf.py", "userapi.wsgi"]'
    ]
    assert not [line for line in final if line.startswith("ENTRYPOINT")]
    assert "ARG PYTHON_IMAGE=python:3.13-slim-trixie" in lines
    assert {line for line in lines if line.startswith("FROM")} == {
        "FROM ${PYTHON_IMAGE} AS build",
        "FROM ${PYTHON_IMAGE}",
    }


# Prints where gunicorn would listen with its command line and each of these environments.
BINDS = """
import json, os, sys
from gunicorn.app.wsgiapp import WSGIApplication
*sys.argv, environments = sys.argv
for variables in json.loads(environments):
    os.environ.update(variables)
    print(*WSGIApplication().cfg.bind)
    for name in variables:
        del os.environ[name]
"""


def test_image_listens_where_it_is_told_to() -> None:
    (command,) = [json.loads(line.removeprefix("CMD ")) for line in instructions() if line.startswith("CMD [")]
    (default,) = re.findall(r"^ENV .*\bUSERAPI_BIND=(\S+)", "\n".join(instructions()), re.MULTILINE)
    cases = [
        ({}, "0.0.0.0:8080"),
        ({"USERAPI_BIND": "[::]:8080"}, "[::]:8080"),
        ({"GUNICORN_CMD_ARGS": "--workers=1"}, "0.0.0.0:8080"),
        ({"GUNICORN_CMD_ARGS": "--bind=[::]:8080"}, "[::]:8080"),
    ]
    assert command[0] == "gunicorn"
    environments = json.dumps([{"USERAPI_BIND": default, **variables} for variables, _ in cases])
    ended = subprocess.run(
        [sys.executable, "-c", BINDS, *command[1:], environments],
        cwd=ROOT,
        env={"DJANGO_DEBUG": "true", "TELEMETRY_MODE": "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == [bind for _, bind in cases]


def test_image_readable_whatever_the_umask_of_the_checkout(tmp_path: Path) -> None:
    """The last change of modes is tried here; what is compiled after it is made under the builder's umask."""
    (line,) = [line for line in instructions() if "compileall" in line]
    options = re.search(r"RUN chmod (-R \S+) /app && .* -m compileall ", line)
    assert options
    folder = tmp_path / "userapi"
    folder.mkdir(0o700)
    for name, mode in {"settings.py": 0o600, "manage.py": 0o700}.items():
        (folder / name).touch()
        (folder / name).chmod(mode)
    subprocess.run(["chmod", *options[1].split(), folder], check=True)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {"userapi": 0o755, "settings.py": 0o644, "manage.py": 0o755}


def test_image_packages_by_hash() -> None:
    installs = [
        command
        for line in instructions()
        for command in line.split("&&")
        if "pip" in command and " install " in command and "apt-get" not in command
    ]
    assert len(installs) == 3
    for command in installs[:2]:
        assert "--require-hashes" in command
        assert "--only-binary=:all:" in command
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(installs[2].split())


def test_image_version_is_the_service_s() -> None:
    import userapi

    assert f"ARG VERSION={userapi.__version__}" in instructions()


def ignore_lines() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_sent(path: PurePath) -> bool:
    """Return whether the builder gets a file: the last line that matches it, or a folder that it is in, decides."""
    sent = True
    for line in ignore_lines():
        pattern = line.removeprefix("!")
        if any(_matches(place, pattern) for place in (path, *path.parents)):
            sent = line.startswith("!")
    return sent


def _matches(place: PurePath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(place.name, pattern.removeprefix("**/"))
    return fnmatch(str(place), pattern)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What the image's builder gets, and the folder into which it installs telemetry."""
    context, site = (tmp_path_factory.mktemp(name) for name in ("context", "site"))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(lambda name: is_sent(PurePath(name)), listed.splitlines()):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, context / name)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--no-compile", "--target", str(site)]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *options, str(context)], check=True)
    shutil.rmtree(context / "telemetry")
    return context, site


def run_in_image(installed: tuple[Path, Path], *arguments: str) -> str:
    app, site = installed
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), "DJANGO_DEBUG": "true", "TELEMETRY_MODE": "off"}
    ended = subprocess.run([sys.executable, *arguments], cwd=app, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_image_has_no_tools_that_no_service_needs(installed: tuple[Path, Path]) -> None:
    found = run_in_image(installed, "manage.py", "help")
    commands = set(re.findall(r"^    (\w+)$", found, re.MULTILINE))
    assert {"doctor", "audit", "traffic", "telemetry", "deliver_greetings", "create_admin"} <= commands
    assert not {"compare", "console", "demo"} & commands
    tools = {one.parent.name for one in (installed[1] / "telemetry" / "tools").glob("*/__init__.py")}
    assert tools == {"audit", "backends", "doctor", "management", "traffic"}


def test_image_can_import_all_that_it_has(installed: tuple[Path, Path]) -> None:
    code = (
        "import importlib, manage, pkgutil, telemetry\n"
        "manage.main(['manage.py', 'check'])\n"
        "for name in ('doctor', 'audit', 'traffic', 'telemetry'):\n"
        "    try: manage.main(['manage.py', name, '--help'])\n"
        "    except SystemExit as ended: assert not ended.code, name\n"
        "for one in pkgutil.walk_packages(telemetry.__path__, 'telemetry.'):\n"
        "    if not one.name.endswith('__main__'):\n"
        "        importlib.import_module(one.name)\n"
        "print(telemetry.__file__)\n"
    )
    checked, *helped, file = run_in_image(installed, "-c", code).splitlines()
    assert "no issues" in checked
    shown = re.findall(r"^usage: manage.py (\w+)", "\n".join(helped), re.MULTILINE)
    assert shown == ["doctor", "audit", "traffic", "telemetry"]
    assert file.startswith(str(installed[1]))


def test_image_context_is_what_is_copied() -> None:
    allowed = {line[1:] for line in ignore_lines() if line[:1] == "!"}
    copied = {
        source
        for line in instructions()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == allowed
    assert all((ROOT / path).exists() for path in allowed)
