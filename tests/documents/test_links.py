"""Every link in a document leads somewhere, and every document can be found."""

import pytest

from tests.documents.documents import Document, documents
from tests.support.service import ROOT

README = Document(ROOT / "README.md")


def is_inside(target: str) -> bool:
    return "://" not in target and not target.startswith("mailto:")


def fault(document: Document, target: str) -> str | None:
    """Return what is wrong with a link, None where nothing is."""
    name, _, anchor = target.partition("#")
    path = (document.path.parent / name).resolve() if name else document.path
    if not path.is_relative_to(ROOT):
        return "leads out of the repository"
    if not path.exists():
        return "leads nowhere"
    if anchor and (path.suffix != ".md" or anchor not in Document(path).anchors()):
        return f"has no heading for #{anchor}"
    return None


@pytest.mark.parametrize("document", documents(), ids=str)
def test_links_lead_somewhere(document: Document) -> None:
    faults = [
        f"{document}:{number}: {target} {found}"
        for number, target in document.links()
        if is_inside(target) and (found := fault(document, target))
    ]
    assert not faults, "\n".join(faults)


def test_links_are_found() -> None:
    """The test above cannot pass because it sees no links."""
    targets = {target for _, target in README.links()}
    assert {"LICENSE", "docs/configuration.md", "docs/production.md#sizing"} <= targets


@pytest.mark.parametrize("target", ["docs/nothing.md", "docs/modes.md#nothing", "../elsewhere", "LICENSE#x"])
def test_links_with_faults_are_seen(target: str) -> None:
    assert fault(README, target)


def test_documents_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        document = waiting.pop()
        reached.add(document)
        for _, target in document.links():
            path = (document.path.parent / target.partition("#")[0]).resolve()
            if is_inside(target) and path.suffix == ".md" and path.is_file() and Document(path) not in reached:
                waiting.append(Document(path))
    assert {str(one) for one in documents() if one.path.is_relative_to(ROOT / "docs")} <= {str(one) for one in reached}
