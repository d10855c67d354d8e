"""A real Prometheus that scrapes the service as docs/signals.md says."""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import Any, Self

import pytest
import yaml

from tests.support.service import ROOT, free_port, wait_until

DOCUMENT = ROOT / "docs" / "signals.md"
WITH_QUERIES = (DOCUMENT, ROOT / "docs" / "recipes.md", ROOT / "docs" / "tour.md")


def scrape_configuration() -> dict[str, Any]:
    """Return the configuration that docs/signals.md gives for direct mode."""
    block = re.search(r"```yaml\n(scrape_configs:.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert block, f"{DOCUMENT.name} has no block of YAML that begins with scrape_configs"
    configuration: dict[str, Any] = yaml.safe_load(block[1])
    return configuration


def prometheus_is_missing() -> bool:
    return which("prometheus") is None


def skip_without_prometheus() -> None:
    if prometheus_is_missing():
        pytest.skip("Prometheus is not installed (Debian: apt-get install prometheus)")


class Prometheus:
    """`prometheus` with storage for exemplars, scraping one target. A context manager."""

    def __init__(
        self,
        folder: Path,
        target: str,
        token: str | None = None,
        *,
        alloy: str = "",
        rules: Sequence[Path] = (),
        interval: str = "1s",
    ) -> None:
        """`token` is what the target wants (METRICS_TOKEN), `alloy` a target whose `/alloy` is scraped as that.

        `rules` are files of rules, evaluated four times a second; scrapes are every `interval`, and may take as long.
        """
        self._folder = folder
        self._port = free_port()
        configuration = scrape_configuration()
        (job,) = configuration["scrape_configs"]
        job |= {"static_configs": [{"targets": [target]}], "scrape_interval": interval}
        if token:
            job["authorization"] = {"credentials": token}
        if alloy:
            targets = [{"targets": [alloy], "labels": {"component": "alloy"}}]
            pipeline = {"job_name": "pipeline", "metrics_path": "/alloy", "scrape_interval": interval}
            configuration["scrape_configs"].append({**pipeline, "static_configs": targets})
        if rules:
            configuration |= {"rule_files": list(map(str, rules)), "global": {"evaluation_interval": "250ms"}}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def __enter__(self) -> Self:
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._folder}/prometheus.yml",
                    f"--storage.tsdb.path={self._folder}/prometheus",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--enable-feature=exemplar-storage",
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.value("vector(1)") == 1.0, 60, "Prometheus' answer")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def value(self, expression: str) -> float | None:
        """Return the first value of a query, or None where there is none or no answer."""
        try:
            result = self._ask("query", {"query": expression})["result"]
        except OSError:
            return None
        return float(result[0]["value"][1]) if result else None

    def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of the series that a selector finds, `__name__` among them."""
        found: list[dict[str, str]] = self._ask("series", {"match[]": selector})
        return found

    def metadata(self) -> dict[str, dict[str, str]]:
        """Return type and unit by family."""
        return {name: given[0] for name, given in self._ask("metadata", {}).items()}

    def exemplars(self, selector: str) -> list[dict[str, Any]]:
        """Return the exemplars of the series that a selector finds: labels, value, timestamp."""
        series = self._ask("query_exemplars", {"query": selector, "start": "0", "end": "9999999999"})
        return [exemplar for one in series for exemplar in one["exemplars"]]

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
