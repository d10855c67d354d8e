"""The facts of docs/signals.md, from the contract: one table below each heading, and which headings there must be."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from telemetry.exporting.metrics.exporter_instruments import _RETRIES
from telemetry.exporting.metrics.views import Views
from tests.contract.translation import family_name

# Views and values that only the round of the tests has.
_OF_THE_TEST = ("contract/", "_OTHER", "HTTP")
# Those of failures are in the views alone: in the round nothing fails.
_OF_EXPORTS = ("otel.sdk.exporter.", "otel.sdk.processor.", _RETRIES[1])
_HEADING = re.compile(r"^### `([^`]+)`$")


class Reference:
    """What the document must contain, by chapter and heading: the table of each."""

    def __init__(self, contract: Mapping[str, Any]) -> None:
        spans = [span for request in contract["requests"].values() for span in _spans(request["spans"])]
        records = [record for request in contract["requests"].values() for record in request["logs"]]
        records += contract["logs outside of any trace"]
        metrics = {**contract["metrics"], **_of_failures()}
        self.chapters = {
            "Metrics": {name: _metric_table(name, metric) for name, metric in metrics.items()},
            "Spans": {scope: _span_table(of_scope) for scope, of_scope in _by(spans, "scope").items()},
            "Logs": {logger: _log_table(of_logger) for logger, of_logger in _by(records, "logger").items()},
        }
        self.prometheus = {name: metric["in Prometheus"] for name, metric in metrics.items()}
        self.resource = set(contract["resource"])
        keys = {key for found in (*spans, *records) for key in found["attributes"]}
        keys |= {key for span in spans for event in span.get("events", ()) for key in event["attributes"]}
        keys |= {key for name, metric in metrics.items() for key in _metric_keys(name, metric)}
        self.attributes = keys

    def renewed(self, text: str) -> str:
        """Return the document with the table of each heading that is known as it must be."""
        lines = text.splitlines()
        for number, chapter, name in reversed(list(headings(text))):
            table = self.chapters.get(chapter, {}).get(name)
            if table is None:
                continue
            end = next((i for i in range(number, len(lines)) if lines[i].startswith("#")), len(lines))
            rows = [i for i in range(number, end) if lines[i].startswith("|")]
            if rows:
                lines[rows[0] : rows[-1] + 1] = table
            else:
                lines[number:number] = ["", *table]
        return "\n".join(lines) + "\n"


def headings(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number (from 1), chapter and name of each heading in backquotes."""
    chapter = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            chapter = line.removeprefix("## ")
        elif found := _HEADING.match(line):
            yield number, chapter, found[1]


def blocks(text: str, language: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, heading and each query of the fenced blocks in that language, a query a line."""
    heading, inside = "", False
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEADING.match(line):
            heading = found[1]
        if line.startswith("```"):
            inside = line == f"```{language}"
        elif inside and line and not line.startswith("#"):
            yield number, heading, line


def rows(text: str, chapter: str) -> dict[str, int]:
    """Return the first cells (in backquotes) of the tables of a chapter, with their line numbers."""
    found, inside = {}, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            inside = line == f"## {chapter}"
        elif inside and (row := re.match(r"\| `([^`]+)` \|", line)):
            found[row[1]] = number
    return found


def _spans(tree: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for span in tree:
        yield span
        yield from _spans(span.get("children", []))


def _by(found: list[dict[str, Any]], key: str) -> dict[str, list[dict[str, Any]]]:
    return {name: [one for one in found if one[key] == name] for name in sorted({one[key] for one in found})}


def _of_failures() -> dict[str, dict[str, Any]]:
    """Return, as the contract has them, the metrics that its round does not make, because nothing fails in it."""
    kind, name, unit, *_ = _RETRIES
    return {name: {"type": kind, "unit": unit, "in Prometheus": family_name(name, unit, kind), "series": []}}


def _metric_keys(name: str, metric: Mapping[str, Any]) -> set[str]:
    keys = {pair.partition("=")[0] for series in metric["series"] for pair in series.split(" ") if "=" in pair}
    return keys | Views({}).attributes(name) if name.startswith(_OF_EXPORTS) else keys


def _metric_table(name: str, metric: Mapping[str, Any]) -> list[str]:
    unit = f"`{metric['unit']}`" if metric["unit"] else "-"
    cells = [metric["type"], unit, f"`{metric['in Prometheus']}`", _code(_metric_keys(name, metric))]
    return ["| Type | Unit | In Prometheus | Attributes |", "|-|-|-|-|", _row(cells)]


def _span_table(spans: list[dict[str, Any]]) -> list[str]:
    events = {event["name"] for span in spans for event in span.get("events", ())}
    names = {span["name"] for span in spans if not any(word in span["name"] for word in _OF_THE_TEST)}
    cells = [_code({span["kind"] for span in spans}), _code(names), _code(_keys(spans)), _code(events)]
    return ["| Kind | Names | Attributes | Events |", "|-|-|-|-|", _row(cells)]


def _log_table(records: list[dict[str, Any]]) -> list[str]:
    bodies = {record["body"] for record in records if not any(word in record["body"] for word in _OF_THE_TEST)}
    cells = [_code({record["severity"] for record in records}), _code(bodies), _code(_keys(records))]
    return ["| Severity | Bodies | Attributes |", "|-|-|-|", _row(cells)]


def _keys(found: list[dict[str, Any]]) -> set[str]:
    return {key for one in found for key in one["attributes"]}


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in sorted(texts)) or "-"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
