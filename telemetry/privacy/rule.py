"""One kind of what is removed from free text: when to look for it, what it looks like, what replaces it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MASK = "***"

Replacement = str | Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret. `needles` are in lower case; one of them must be in the text (lower-cased) for it to run."""

    kind: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: Replacement


def rule(kind: str, needles: Sequence[str], pattern: str, replacement: Replacement, flags: int = re.NOFLAG) -> Rule:
    """Return the rule for `pattern`, a verbose expression that ignores case."""
    return Rule(kind, tuple(needles), re.compile(pattern, flags | re.IGNORECASE | re.VERBOSE), replacement)
