"""Paths, containers and profiles that the documents' code names are there."""

import re

import pytest

from tests.documents.documents import Document, documents
from tests.support.service import ROOT

# A path of ours, up to a pattern or a placeholder.
PATH = re.compile(r"(?<![\w./-])((?:deploy|docs|tests|telemetry|userapi|\.ci)/[\w.-]+(?:/[\w.-]+)*)(?![\w/*{<$-])")
CONTAINER = re.compile(r"\bdocker (?:logs|exec|stop|start|restart|kill|pause|unpause)(?: -[\w=-]+)* ([a-z][\w-]*)")
COMPOSE = "\n".join(
    file.read_text(encoding="utf-8")
    for file in (*ROOT.glob("docker-compose*.yml"), *(ROOT / "deploy" / "compose").glob("*.yml"))
)


def everywhere(found: re.Pattern[str], document: Document) -> list[tuple[int, str]]:
    return [(number, name) for number, code in document.code() for name in found.findall(code)]


@pytest.mark.parametrize("document", documents(), ids=str)
def test_paths_exist(document: Document) -> None:
    missing = [
        f"{document}:{number}: {path}"
        for number, path in everywhere(PATH, document)
        if not (ROOT / path.rstrip(".")).exists()
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_containers_exist(document: Document) -> None:
    known = set(re.findall(r"container_name: (\S+)", COMPOSE))
    unknown = [f"{document}:{number}: {name}" for number, name in everywhere(CONTAINER, document) if name not in known]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_profiles_exist(document: Document) -> None:
    known = {
        name for names in re.findall(r"profiles:[^\[\n]*\[([^\]]*)\]", COMPOSE) for name in re.split(r", *", names)
    }
    named = everywhere(re.compile(r"--profile[ =]([a-z-]+)"), document)
    unknown = [f"{document}:{number}: {name}" for number, name in named if name not in known]
    assert not unknown, "\n".join(unknown)


def test_places_are_found() -> None:
    """The tests above cannot pass because they see nothing."""
    tour, readme = Document(ROOT / "docs" / "tour.md"), Document(ROOT / "README.md")
    assert {name for _, name in everywhere(CONTAINER, tour)} == {"postgres"}
    assert "deploy/gunicorn.conf.py" in {path for _, path in everywhere(PATH, readme)}
