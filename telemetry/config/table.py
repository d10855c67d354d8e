"""The table of the variables for the documents.

`python -m telemetry.config.table docs/configuration.md` writes it into a file, between the markers
`<!-- configuration -->` and `<!-- /configuration -->`.
"""

import re
import sys
from pathlib import Path
from typing import Any

from telemetry.config.reader import Variable
from telemetry.config.values import SIGNALS
from telemetry.config.variables import VARIABLES

_BETWEEN_MARKERS = re.compile(r"(<!-- configuration -->\n).*?(<!-- /configuration -->)", re.DOTALL)


def markdown() -> str:
    """Return the table: one line for each variable, including its forms for one signal."""
    head = "| Variable | Default | Accepted | Meaning |\n|-|-|-|-|\n"
    return head + "".join(f"| {' | '.join(_cells(variable))} |\n" for variable in VARIABLES)


def renewed(document: str) -> str:
    """Return `document` with the current table between its markers; raise ValueError without exactly one pair."""
    text, count = _BETWEEN_MARKERS.subn(lambda markers: f"{markers[1]}{markdown()}{markers[2]}", document)
    if count != 1:
        raise ValueError(f"the document has {count} pairs of markers <!-- configuration -->; expected one")
    return text


def _cells(variable: Variable[Any]) -> tuple[str, str, str, str]:
    names = [variable.name]
    if variable.per_signal:
        names += [variable.for_signal(signal).name for signal in SIGNALS]
    default = variable.default_note or (f"`{variable.default}`" if variable.default else "-")
    return "<br>".join(f"`{name}`" for name in names), default, variable.parse.accepted, variable.help


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
