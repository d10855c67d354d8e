"""The report of a comparison in three forms: data, a table for the README, and a page that needs nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telemetry.compare.report.markdown import as_markdown


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write report.json, report.md and report.html into `folder`; return their paths."""
    from telemetry.compare.report.page import as_html

    texts = {
        "report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        "report.md": as_markdown(report),
        "report.html": as_html(report),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
