"""One kind of what is removed from free text: when to look for it, what it looks like, what replaces it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

MASK = "***"

Replacement = str | Callable[[re.Match[str]], str]


@dataclass(frozen=True)
class Rule:
    """One kind of secret. `needles` are in lower case; one of them must be in the text (lower-cased) for it to run."""

    kind: str
    needles: tuple[str, ...]
    expression: str
    replacement: Replacement
    flags: int

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What it looks like, compiled for the first text with a needle: most processes never see one of most rules."""
        return re.compile(self.expression, self.flags)


def rule(kind: str, needles: Sequence[str], pattern: str, replacement: Replacement, flags: int = re.NOFLAG) -> Rule:
    """Return the rule for `pattern`, a verbose expression that ignores case."""
    return Rule(kind, tuple(needles), pattern, replacement, flags | re.IGNORECASE | re.VERBOSE)
