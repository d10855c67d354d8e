"""The report's forms, and the README's agreement with the published one."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from telemetry.tools.compare.report import write
from telemetry.tools.compare.report.markdown import BEGIN, END, as_markdown, for_readme, main, update
from telemetry.tools.compare.session import READABLE
from tests.support.service import ROOT

PUBLISHED = ROOT / "docs" / "comparison"


def _published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PUBLISHED / "report.json").read_text())
    return found


def _small() -> dict[str, Any]:
    """The published report with one fault, one set-up of scrapes and one ratio: drawing its plots takes seconds."""
    found = _published()
    runs, scrapes = found["loss"]["runs"], found["scrapes"]["variants"]
    found["loss"]["runs"] = [run for run in runs if run["title"] == runs[0]["title"]]
    found["scrapes"]["variants"] = scrapes[:1]
    for variant in found["cost"]["variants"]:
        variant["ratio"] = {name: ratio for name, ratio in variant["ratio"].items() if name == "cpu"}
    return found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small report."""
    folder = tmp_path_factory.mktemp("drawn")
    write(_small(), folder)
    return folder


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has plots made of a report's values, but not drawn: what takes seconds knows nothing of the report any more."""
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, "savefig", lambda _self, file, **_options: file.write("<svg/>"))


@pytest.fixture
def published(_undrawn: None) -> dict[str, Any]:
    return _published()


@pytest.fixture
def report(_undrawn: None) -> dict[str, Any]:
    return _small()


class Links(HTMLParser):
    """Collects what a browser would fetch, and the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        names = {"src", "href", "xlink:href"}
        self.fetched += [value for name, value in attrs if name in names and value and not value.startswith("#")]


def test_readme_says_what_the_published_report_says(published: dict[str, Any], tmp_path: Path) -> None:
    """Where the README has a place for the tables, `make report` has filled it with these."""
    readme = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", readme)
    if BEGIN not in readme.read_text():
        readme.write_text(f"{readme.read_text()}\n{BEGIN}\n{END}\n")
        update(readme, for_readme(published))
    assert f"{BEGIN}\n{for_readme(published)}{END}" in readme.read_text()
    assert (PUBLISHED / "report.md").read_text() == as_markdown(published)


def test_published_report_is_whole_and_adds_up(published: dict[str, Any]) -> None:
    assert published["schema"] in READABLE
    assert published["complete"]
    assert published["ok"]
    assert published["command"].startswith("manage.py compare")
    assert {"cost", "freshness", "loss", "scale", "profile"} <= published.keys()
    text = (PUBLISHED / "report.json").read_text()
    assert not re.search(r"/(work|root|home|tmp|opt)/", text)
    from telemetry.tools.compare.report.page import as_html  # imports Matplotlib

    assert as_html(published).count("<svg") == (PUBLISHED / "report.html").read_text().count("<svg ") > 30


def test_page_needs_nothing_else(drawn: Path) -> None:
    text = (drawn / "report.html").read_text()
    links = Links()
    links.feed(text)
    assert links.fetched == []
    assert "script" not in links.tags
    assert "svg" in links.tags
    assert "currentColor" in text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    for line in _published()["advice"]:
        assert line["when"].replace("'", "&#39;") in text


def test_report_that_does_not_add_up_says_so_everywhere(report: dict[str, Any], tmp_path: Path) -> None:
    report |= {"ok": False, "problems": ["spans: 3 of <b>9</b> are missing"], "complete": False, "stopped_during": "x"}
    write(report, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "3 of &lt;b&gt;9&lt;/b&gt; are missing" in text
    assert "Partial: stopped during" in text
    markdown = (tmp_path / "report.md").read_text()
    assert "figures are void" in markdown
    assert "Partial" in markdown


@pytest.mark.parametrize("part", ["cost", "freshness", "loss", "scale", "profile", "advice"])
def test_report_without_a_part_can_be_written(report: dict[str, Any], tmp_path: Path, part: str) -> None:
    report[part] = []
    if part != "advice":
        del report[part]
    assert len(write(report, tmp_path)) == 3


def test_readme_has_cost_and_loss_but_not_the_long_tables(report: dict[str, Any]) -> None:
    shown, left_out = ("| Set-up | CPU per request", "| Fault |", "Made by"), ("| Goal |", "| Set-up | scrapes |")
    assert all(head in as_markdown(report) for head in (*shown, *left_out))
    assert all(head in for_readme(report) for head in shown)
    assert not any(head in for_readme(report) for head in left_out)


def test_heading_of_goals_suits_minima_and_maxima(drawn: Path) -> None:
    assert "| found | limit | aim |" in (drawn / "report.md").read_text()
    assert '<th scope="col">limit</th>' in (drawn / "report.html").read_text()


def test_readme_is_renewed_between_its_markers(tmp_path: Path, report: dict[str, Any]) -> None:
    folder = tmp_path / "docs" / "comparison"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(tmp_path) == 0
    assert readme.read_text() == f"before\n{BEGIN}\n{for_readme(report)}{END}\nafter\n"
    readme.write_text("no markers\n")
    assert main(tmp_path) == 1
    with pytest.raises(ValueError, match=r"README\.md lacks"):
        update(readme, "text")
