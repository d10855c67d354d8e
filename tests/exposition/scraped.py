"""What an exposition answers, as sample names and label sets; both formats are parsed by prometheus_client."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.exposition import Exposition

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(exposition: Exposition, accept: str = "") -> Iterator[Any]:
    """All samples of an answer; the parsers raise ValueError for what is not valid."""
    body, content_type = exposition.render(accept)
    parse: Any = parse_openmetrics if "openmetrics" in content_type else parse_text
    seen = set()
    for family in parse(body.decode()):
        for sample in family.samples:
            identity = (sample.name, tuple(sorted(sample.labels.items())))
            assert identity not in seen, f"{identity} is there twice"
            seen.add(identity)
            yield sample


def value(exposition: Exposition, name: str, labels: Mapping[str, str] | None = None, accept: str = "") -> float | None:
    """The value of the one sample with this name and these labels, None if there is none."""
    found = [
        sample.value
        for sample in samples(exposition, accept)
        if sample.name == name and (labels or {}).items() <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None
