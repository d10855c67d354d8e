"""A rule for one kind of data to remove from free text: when to look for it, its pattern, and its replacement."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

MASK = "***"

Replacement = str | Callable[[re.Match[str]], str]


@dataclass(frozen=True)
class Rule:
    """One kind of secret. The rule runs only if one of `needles`, in lower case, is in the lower-cased text."""

    kind: str
    needles: tuple[str, ...]
    expression: str
    replacement: Replacement
    flags: int

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled expression, created for the first text with a needle: most processes never need most rules."""
        return re.compile(self.expression, self.flags)


def rule(kind: str, needles: Sequence[str], pattern: str, replacement: Replacement, flags: int = re.NOFLAG) -> Rule:
    """Return the rule for `pattern`, a verbose expression that ignores case."""
    return Rule(kind, tuple(needles), pattern, replacement, flags | re.IGNORECASE | re.VERBOSE)
