"""A scrape of ours beside one of prometheus_client: the command fails unless both answers have the same sums."""

import json
import subprocess
import sys

from tests.support.service import ROOT


def test_scrape_of_more_than_is_read_at_once_has_all_series() -> None:
    command = [sys.executable, "-m", "telemetry.tools.compare.scrape"]
    command += ["--workers", "2", "--series", "1000", "--rounds", "9", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["bytes"] > 100_000
    assert 0 < found["p50_ms"] < found["their_p50_ms"]  # not of the slowest: the machine may stand still for a while
