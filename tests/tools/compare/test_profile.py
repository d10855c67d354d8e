"""Which area a sample belongs to."""

from collections import Counter
from pathlib import Path

import pytest

from telemetry.recording import queries
from telemetry.tools.compare.scenarios.profile import APPLICATION, area_of, areas, costs_of
from telemetry.tools.demo.environment import ROOT

SITE = "/venv/lib/python3.11/site-packages"
MIDDLEWARE = f"__call__ ({ROOT}/telemetry/recording/middleware.py:80)"
VIEW = f"list ({SITE}/rest_framework/mixins.py:40)"


def query_line() -> str:
    path = Path(queries.__file__)
    number = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if "return execute(" in line)
    return f"__call__ ({path}:{number})"


@pytest.mark.parametrize(
    ("stack", "area"),
    [
        (f"run ({SITE}/gunicorn/workers/base.py:1);{MIDDLEWARE}", "recording requests"),
        (f"{MIDDLEWARE};{VIEW}", APPLICATION),
        (f"{MIDDLEWARE};{VIEW};dumps (json/__init__.py:1)", APPLICATION),
        (f"{MIDDLEWARE};urlsplit (/usr/lib/python3.11/urllib/parse.py:1)", "recording requests"),
        (f"{VIEW};start_span ({SITE}/opentelemetry/sdk/trace/__init__.py:9)", "context and attributes"),
        (f"{VIEW};put ({ROOT}/telemetry/journal/ring.py:9)", "journal"),
        (f"{VIEW};__call__ ({ROOT}/telemetry/recording/queries.py:1)", "recording queries"),
        (f"encode_span ({ROOT}/telemetry/exporting/encoding/spans.py:5)", "encoding"),
        (f"send ({ROOT}/telemetry/exporting/transports/otlp_http.py:60);read (ssl.py:54)", "sending"),
        (
            f"commit ({ROOT}/telemetry/exporting/loop.py:1);write ({ROOT}/telemetry/journal/snapshot.py:5)",
            "spool and snapshot",
        ),
        (f"redact ({ROOT}/telemetry/privacy/redactor.py:1);sub (/usr/lib/python3.11/re.py:1)", "redaction"),
    ],
)
def test_sample_belongs_to_the_innermost_part(stack: str, area: str) -> None:
    assert area_of(stack) == area


def test_query_itself_is_the_services() -> None:
    assert area_of(f"{VIEW};{query_line()}") == APPLICATION


def test_samples_are_summed() -> None:
    assert areas([f"{VIEW} 3", f"{VIEW};{MIDDLEWARE} 2", "not a sample", ""]) == {
        APPLICATION: 3,
        "recording requests": 2,
    }


def test_samples_of_each_process_share_its_own_time() -> None:
    samples = {"server": Counter({APPLICATION: 30, "journal": 10}), "exporter": Counter({"journal": 1, "sending": 1})}
    costs = costs_of(samples, {"server": 0.004, "exporter": 0.0002})
    assert costs == pytest.approx({APPLICATION: 0.003, "journal": 0.0011, "sending": 0.0001})
    assert next(iter(costs)) == APPLICATION


def test_process_without_samples_costs_nothing() -> None:
    assert costs_of({"server": Counter({APPLICATION: 1}), "exporter": Counter()}, {"server": 1.0, "exporter": 0.1}) == {
        APPLICATION: 1.0
    }
