"""Prometheus of the stack: its targets without Docker's DNS, and what it answers."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.stack.stored import Backend


class Asked:
    """Prometheus, as the auditor asks it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._backend = Backend(port)

    def value(self, expression: str) -> float | None:
        """Return the first value of a query, None without one."""
        try:
            result = self._backend.get("/api/v1/query", query=expression)["data"]["result"]
        except OSError:
            return None
        return float(result[0]["value"][1]) if result else None


def scrape(folder: Path, pipeline: Mapping[str, int]) -> None:
    """Let Prometheus find its targets without Docker's DNS, every second.

    `pipeline` are ports by component; `scrape_service` names the service.
    """
    configuration = folder / "prometheus" / "prometheus.yml"
    found = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    found["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "15s"}
    for job in found["scrape_configs"]:
        del job["dns_sd_configs"], job["relabel_configs"]
        if job["job_name"] == "user-api":
            job["file_sd_configs"] = [{"files": [str(folder / "service.json")], "refresh_interval": "1s"}]
        else:
            job["static_configs"] = [
                {"targets": [f"127.0.0.1:{port}"], "labels": {"component": name}} for name, port in pipeline.items()
            ]
    configuration.write_text(yaml.safe_dump(found), encoding="utf-8")


def scrape_service(folder: Path, port: int) -> None:
    """Have Prometheus scrape a service."""
    (folder / "service.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]), encoding="utf-8")
