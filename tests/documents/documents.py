"""The documents of the repository, and what the tests take out of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.service import ROOT

_FENCE = re.compile(r"^ *(```|~~~)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$")


@dataclass(frozen=True)
class Document:
    """One file of Markdown."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def lines(self) -> Iterator[tuple[int, str, bool]]:
        """Yield line number (from 1), line, and whether it is in a block of code, fenced or indented."""
        fenced, former_was_blank, indented = False, True, False
        for number, line in enumerate(self.text.splitlines(), 1):
            fence = bool(_FENCE.match(line))
            fenced ^= fence
            indented = line.startswith("    ") and (indented or former_was_blank)
            yield number, line, fenced or fence or indented
            former_was_blank = not line.strip()
            indented &= bool(line.strip())

    def links(self) -> Iterator[tuple[int, str]]:
        """Yield line number and target of each link and picture outside of code."""
        for number, line, is_code in self.lines():
            if not is_code:
                yield from (
                    (number, target)
                    for target in _LINK.findall(_CODE.sub("", line.replace("[`", "[").replace("`]", "]")))
                )

    def code(self) -> Iterator[tuple[int, str]]:
        """Yield line number and text of each line of code and each piece of code in a line of text."""
        for number, line, is_code in self.lines():
            if is_code:
                yield number, line.strip()
            else:
                yield from ((number, piece) for piece in _CODE.findall(line))

    def anchors(self) -> set[str]:
        """Return the anchors of the headings, as GitHub makes them."""
        found: set[str] = set()
        for _, line, is_code in self.lines():
            if not is_code and (heading := _HEADING.match(line)):
                anchor = _anchor(heading[1])
                number = 1
                unique = anchor
                while unique in found:
                    unique, number = f"{anchor}-{number}", number + 1
                found.add(unique)
        return found


def _anchor(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def documents() -> tuple[Document, ...]:
    """Return every document: those of the root and of the folders that are ours."""
    folders = (ROOT / "docs", ROOT / "deploy", ROOT / "tests", ROOT / "telemetry", ROOT / "userapi")
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    return tuple(Document(path) for path in sorted(paths))
