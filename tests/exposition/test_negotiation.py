"""Which format a scrape gets."""

import pytest

from telemetry.exposition.negotiation import Format, choose_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", True),
        ('application/openmetrics-text; version="1.0.0"', True),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text; version=2.0.0, text/plain;q=0.1", False),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.3", False),
        ("application/openmetrics-text;q=0.2, */*;q=0.3", False),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.3", True),
        ("text/plain;q=0.2, */*, application/openmetrics-text;q=0.3", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;version=1.0", True),
        ("application/openmetrics-text;q=0.5, application/openmetrics-text;q=0.1, text/plain;q=0.3", True),
        ("text/plain;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.5", False),
        ("text/*;q=0.9, application/openmetrics-text;q=0.5", False),
        ("text/plain;q=0, */*;q=0.9, application/openmetrics-text;q=0.5", True),
        ("application/openmetrics-text;q=1, text/plain;q=7", True),
        ("application/openmetrics-text;q=nan", False),
        ("application/openmetrics-text;q=ten, text/plain;q=0", False),
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        (";;q=,,=;/*\x00", False),
        ("," * 10_000, False),
        ("image/png", False),
    ],
)
def test_format_is_chosen_by_the_accept_header(accept: str, openmetrics: bool) -> None:
    assert choose_format(accept) is (Format.OPENMETRICS if openmetrics else Format.PROMETHEUS)
