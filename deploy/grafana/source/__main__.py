"""Write the dashboards: `python -m deploy.grafana.source [DIRECTORY]`, by default deploy/grafana/dashboards."""

import json
import sys
from pathlib import Path

from deploy.grafana.source import DASHBOARDS
from deploy.grafana.source.model import Dashboard

DIRECTORY = Path(__file__).resolve().parents[1] / "dashboards"


def text(dashboard: Dashboard) -> str:
    """Return Grafana's JSON, a key a line, so that a difference can be read."""
    return json.dumps(dashboard.to_json(), indent=2, ensure_ascii=False) + "\n"


def write(directory: Path) -> None:
    """Write a file for each dashboard and remove those of dashboards that are no more."""
    directory.mkdir(exist_ok=True)
    files = {f"{dashboard.uid}.json": text(dashboard) for dashboard in DASHBOARDS}
    for old in directory.glob("*.json"):
        if old.name not in files:
            old.unlink()
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)
