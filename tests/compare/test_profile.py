"""Which area a sample belongs to."""

from pathlib import Path

import pytest

from telemetry import query_spans
from telemetry.compare.profile import APPLICATION, area_of, areas
from telemetry.demo.environment import ROOT

SITE = "/venv/lib/python3.11/site-packages"
MIDDLEWARE = f"__call__ ({ROOT}/telemetry/request_middleware.py:80)"
VIEW = f"list ({SITE}/rest_framework/mixins.py:40)"


def query_line() -> str:
    path = Path(query_spans.__file__)
    number = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if "return execute(" in line)
    return f"__call__ ({path}:{number})"


@pytest.mark.parametrize(
    ("stack", "area"),
    [
        (f"run ({SITE}/gunicorn/workers/base.py:1);{MIDDLEWARE}", "request span and duration"),
        (f"{MIDDLEWARE};{VIEW}", APPLICATION),
        (f"{MIDDLEWARE};{VIEW};dumps (json/__init__.py:1)", APPLICATION),
        (f"{MIDDLEWARE};urlsplit (/usr/lib/python3.11/urllib/parse.py:1)", "request span and duration"),
        (f"{VIEW};start_span ({SITE}/opentelemetry/sdk/trace/__init__.py:9)", "making spans"),
        (f"{VIEW};start ({ROOT}/telemetry/spans.py:9)", "making spans"),
        (f"{VIEW};__call__ ({ROOT}/telemetry/query_spans.py:1)", "query spans"),
        (f"export ({SITE}/opentelemetry/exporter/otlp/proto/common/_internal/trace_encoder.py:5)", "encoding"),
        (f"request ({ROOT}/telemetry/encoding/common.py:60);_span ({ROOT}/telemetry/encoding/spans.py:54)", "encoding"),
        (f"redact ({ROOT}/telemetry/privacy/redactor.py:1);sub (/usr/lib/python3.11/re.py:1)", "redaction"),
    ],
)
def test_sample_belongs_to_the_innermost_part(stack: str, area: str) -> None:
    assert area_of(stack) == area


def test_query_itself_is_the_services() -> None:
    assert area_of(f"{VIEW};{query_line()}") == APPLICATION


def test_rest_is_no_work() -> None:
    encoding = f"request ({ROOT}/telemetry/encoding/common.py:60)"
    assert areas([f"{encoding} 3", f"{encoding};with_breaks ({ROOT}/telemetry/breaks.py:25) 40"]) == {"encoding": 3}


def test_samples_are_summed() -> None:
    assert areas([f"{VIEW} 3", f"{VIEW};{MIDDLEWARE} 2", "not a sample", ""]) == {
        APPLICATION: 3,
        "request span and duration": 2,
    }
