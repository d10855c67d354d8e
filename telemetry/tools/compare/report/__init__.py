"""The report of a comparison in three forms: data, tables in Markdown, and a self-contained page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telemetry.tools.compare.report.markdown import as_markdown

DATA = "report.json"


def save(report: Mapping[str, Any], folder: Path) -> Path:
    """Write report.json into `folder` atomically; return its path."""
    path, unfinished = folder / DATA, folder / f"{DATA}.new"
    unfinished.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return unfinished.replace(path)


def publish(report: Mapping[str, Any], root: Path) -> None:
    """Write the report into docs/comparison below `root`, and its tables of cost and loss into the README."""
    from telemetry.tools.compare.report.markdown import main

    save(report, root / "docs" / "comparison")
    main(root)


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write report.json, report.md and report.html into `folder`, in this order; return their paths."""
    from telemetry.tools.compare.report.page import as_html

    paths = [save(report, folder)]
    for name, render in (("report.md", as_markdown), ("report.html", as_html)):
        (folder / name).write_text(render(report), encoding="utf-8")
        paths.append(folder / name)
    return paths
