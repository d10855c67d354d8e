"""Variables, targets, commands, options, modules and ports in the documents are those of the code."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from telemetry.config import TelemetryConfig
from telemetry.config.values import SIGNALS
from telemetry.config.variables import VARIABLES
from telemetry.tools.demo.ports import MODES, Ports
from tests.documents.documents import Document, documents
from tests.support.service import ROOT

# A `*` or a `<` after it: a family of names.
VARIABLE = re.compile(r"\b(?:TELEMETRY|OTEL|DJANGO|USERAPI)_[A-Z0-9_]*[A-Z0-9]\b(?!_?[*<{])")
PUBLISHED = re.compile(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:")
ROW_OF_PORTS = re.compile(r"^\| (\d+) \|.*\| `(\w+)` \|", re.MULTILINE)
# Django's and OpenTelemetry's own, which the documents may explain.
OF_OTHERS = {"DJANGO_SETTINGS_MODULE"}


@cache
def known_variables() -> set[str]:
    """Return every variable of the configuration, and every name that code, Compose files and manifests use."""
    found = {variable.name for variable in VARIABLES} | OF_OTHERS
    found |= {variable.for_signal(signal).name for variable in VARIABLES if variable.per_signal for signal in SIGNALS}
    sources = [*ROOT.glob("docker-compose*.yml"), ROOT / ".env.example", ROOT / "Makefile"]
    for folder in (ROOT / "telemetry", ROOT / "userapi", ROOT / "deploy"):
        sources += [path for path in folder.rglob("*") if path.suffix in {".py", ".yml", ".yaml", ".alloy", ".env"}]
    return found.union(*(VARIABLE.findall(path.read_text(encoding="utf-8")) for path in sources))


@pytest.mark.parametrize("document", documents(), ids=str)
def test_variables_known(document: Document) -> None:
    unknown = [
        f"{document}:{number}: {name}"
        for number, line, _ in document.lines()
        for name in VARIABLE.findall(line)
        if name not in known_variables()
    ]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_environments_accepted(document: Document) -> None:
    """Lines that begin with a mode are an environment that the service would start with."""
    for number, line in document.code():
        if re.match(r"TELEMETRY_MODE=\w+ OTEL_", line):
            words = shlex.split(line, comments=True)
            environment = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
            assert TelemetryConfig.errors(environment) == [], f"{document}:{number}: {line}"


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("document", documents(), ids=str)
def test_make_targets_exist(document: Document) -> None:
    unknown = [
        f"{document}:{number}: make {name}"
        for number, code in document.code()
        for name in re.findall(r"(?:^|[;&|`] *)make ([a-z][a-z-]*)", code)
        if name not in targets()
    ]
    assert not unknown, "\n".join(unknown)


def options_of(command: str) -> set[str]:
    """Return the options of a management command."""
    app = get_commands()[command]
    parser = load_command_class(str(app), command).create_parser("manage.py", command)
    return set(parser._option_string_actions)


def commands(document: Document) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line number, name and options of each management command in the document's code."""
    for number, code in document.code():
        for name, rest in re.findall(r"manage\.py ([a-z_]+)([^#;|&]*)", code):
            yield number, name, re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_commands_and_options_exist(document: Document) -> None:
    unknown = []
    for number, name, options in commands(document):
        if name in get_commands():
            unknown += [f"{document}:{number}: {name} {one}" for one in options if one not in options_of(name)]
        else:
            unknown.append(f"{document}:{number}: manage.py {name}")
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_blocks_can_be_pasted(document: Document) -> None:
    """manage.py is not executable, and the packages are in .venv."""
    bare = [
        f"{document}:{number}: {line.strip()}"
        for number, line, is_code in document.lines()
        if is_code and line.strip().startswith("manage.py ")
    ]
    assert not bare, "\n".join(bare)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_modules_exist(document: Document) -> None:
    for number, code in document.code():
        for name in re.findall(r"python -m ((?:tests|telemetry|deploy)\.[\w.]+)", code):
            assert importlib.util.find_spec(name), f"{document}:{number}: {name}"


@cache
def published() -> set[tuple[int, str]]:
    """Return port and variable of everything that the Compose files publish."""
    files = [*ROOT.glob("docker-compose*.yml"), *(ROOT / "deploy" / "compose").glob("*.yml")]
    return {(int(port), name) for file in files for name, port in PUBLISHED.findall(file.read_text(encoding="utf-8"))}


def test_readme_ports_are_those_of_the_compose_files() -> None:
    """In docker-compose.direct.yml the direct service takes the first one's place."""
    rows = {(int(port), name) for port, name in ROW_OF_PORTS.findall(Document(ROOT / "README.md").text)}
    assert rows == published()


def test_readme_ports_are_those_of_the_demo() -> None:
    rows = {int(port) for port, _ in ROW_OF_PORTS.findall(Document(ROOT / "README.md").text)}
    assert set(Ports().used(MODES)) <= rows


def test_ports_are_those_of_the_code() -> None:
    """An address on this machine in a document has a port that something of ours listens on."""
    known = {port for port, _ in published()} | set(Ports().used(MODES))
    for document in documents():
        for number, line, _ in document.lines():
            for port in re.findall(r"\blocalhost:(\d+)", line):
                assert int(port) in known, f"{document}:{number}: localhost:{port}"


def test_no_machine_s_paths() -> None:
    for document in documents():
        assert not re.search(r"(?<![\w.])/(?:work|opt/stack|root)/", document.text), str(document)


def test_wrong_names_are_seen(tmp_path: Path) -> None:
    """The tests above cannot pass because they see nothing."""
    path = tmp_path / "wrong.md"
    path.write_text(
        "Set `TELEMETRY_MOOD`, run `make nothing` or:\n\n    manage.py nothing\n    manage.py demo --nothing\n"
    )
    wrong = Document(path)
    assert VARIABLE.findall(wrong.text) == ["TELEMETRY_MOOD"]
    assert "TELEMETRY_MOOD" not in known_variables()
    assert [code for _, code in wrong.code()] == [
        "TELEMETRY_MOOD",
        "make nothing",
        "manage.py nothing",
        "manage.py demo --nothing",
    ]
    assert [(name, options) for _, name, options in commands(wrong)] == [("nothing", []), ("demo", ["--nothing"])]
    assert "--nothing" not in options_of("demo")
    assert "nothing" not in targets() | set(get_commands())
