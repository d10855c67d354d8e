"""One redactor for all output of the service: spans, log records, exemplars and standard output.

`redactor()` returns the one of this process; `configure` sets the level of TELEMETRY_PRIVACY and the patterns of
TELEMETRY_REDACT. Nothing here needs Django or the SDK. docs/privacy.md lists what is removed where.
"""

from collections.abc import Sequence

from telemetry.privacy.bounds import ATTRIBUTE_COUNT, BODY_BYTES, DROPPED, STACK_BYTES, TEXT_BYTES, TOTAL_BYTES
from telemetry.privacy.constants import Constants
from telemetry.privacy.redactor import Redactor
from telemetry.privacy.rule import MASK

__all__ = [
    "ATTRIBUTE_COUNT",
    "BODY_BYTES",
    "DROPPED",
    "MASK",
    "STACK_BYTES",
    "TEXT_BYTES",
    "TOTAL_BYTES",
    "Constants",
    "Redactor",
    "configure",
    "redactor",
]


class _Process:
    """The redactor of this process: module state, kept in one visible place."""

    redactor = Redactor()


def redactor() -> Redactor:
    """Return the redactor of this process."""
    return _Process.redactor


def configure(patterns: Sequence[str], *, strict: bool = False) -> None:
    """Use a redactor with `patterns` (regular expressions, checked by the configuration) from now on."""
    _Process.redactor = Redactor(patterns, strict=strict)
