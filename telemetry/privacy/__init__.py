"""One redactor for everything that leaves the process: spans, log records, exemplars and standard output.

`redactor()` is the one of this process; `configure` gives it the patterns of TELEMETRY_REDACT. The exporters that use
it are in `telemetry.privacy.exporters`, apart, because they need the SDK and the log formatters do not.
docs/privacy.md tells what is removed where.
"""

from collections.abc import Sequence

from telemetry.privacy.bounds import ATTRIBUTE_COUNT, BODY_BYTES, STACK_BYTES, TEXT_BYTES, TOTAL_BYTES
from telemetry.privacy.redactor import DROPPED, Redactor
from telemetry.privacy.rules import MASK

__all__ = [
    "ATTRIBUTE_COUNT",
    "BODY_BYTES",
    "DROPPED",
    "MASK",
    "STACK_BYTES",
    "TEXT_BYTES",
    "TOTAL_BYTES",
    "Redactor",
    "configure",
    "redactor",
]


class _Process:
    """The redactor of this process: module state, kept in one visible place."""

    redactor = Redactor()


def redactor() -> Redactor:
    """Return the redactor that everything in this process uses."""
    return _Process.redactor


def configure(patterns: Sequence[str]) -> None:
    """Remove what `patterns` (regular expressions, checked by the configuration) match as well, from now on."""
    _Process.redactor = Redactor(patterns)
