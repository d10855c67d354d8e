"""The operator's regular expressions, refused if they could block the process."""

import re
import warnings
from re import _constants, _parser  # the only way to look into an expression
from typing import Any

from telemetry.config.values import Parser, RefusalError

_LONGEST = 1000
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
_MANY = 16


class Patterns(Parser[tuple[str, ...]]):
    """Expressions separated by spaces or line breaks.

    Refuses those that match the empty text, which would mask everything, and those with a part of variable length
    inside a repetition, such as `(a+)+` or `(a|aa)*`, whose time can double with every character.
    """

    accepted = (
        r"Python regular expressions separated by spaces (a space itself as \s), none with a repetition or an "
        "alternative inside a repetition"
    )

    def __call__(self, text: str) -> tuple[str, ...]:
        patterns = self._split(text)
        for number, pattern in enumerate(patterns, 1):
            self._check(number, pattern)
        return patterns

    def _split(self, text: str) -> tuple[str, ...]:
        return tuple(text.split())

    def _check(self, number: int, pattern: str) -> None:
        if len(pattern) > _LONGEST:
            raise RefusalError(f"has more than {_LONGEST} characters in pattern {number}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                compiled = re.compile(pattern)
            nested = _explodes(_parser.parse(pattern), 1)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise RefusalError(f"has an invalid regular expression in pattern {number} ({error})") from None
        if compiled.match("") is not None:
            raise RefusalError(f"matches the empty text with pattern {number}")
        if nested:
            raise RefusalError(f"repeats a repetition or an alternative in pattern {number}")


class UrlPatterns(Patterns):
    """Comma-separated expressions, as contrib's instrumentations read them: joined to a single one."""

    accepted = (
        "Python regular expressions separated by commas, also valid as alternatives of one, none with a repetition "
        "or an alternative inside a repetition"
    )

    def __call__(self, text: str) -> tuple[str, ...]:
        patterns = super().__call__(text)
        try:
            re.compile("|".join(patterns))
        except re.error as error:  # flags for all of it, as (?i), in another place than its beginning
            raise RefusalError(f"has regular expressions that are invalid together ({error})") from None
        return patterns

    def _split(self, text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())


def _explodes(parsed: Any, times: int) -> bool:
    """Return whether a part of variable length is repeated; `parsed` itself is repeated up to `times` times."""
    if isinstance(parsed, tuple) and len(parsed) == 2:  # noqa: PLR2004  (an operation and its operand)
        operation, operand = parsed
        if operation in _REPEATS:
            least, most, body = operand
            if times >= _MANY and least != most:
                return True
            return (times > 1 and most >= _MANY) or _explodes(body, max(times, min(most, _MANY)))
        if operation is _constants.BRANCH and times >= _MANY:
            return True
    if not isinstance(parsed, (tuple, list, _parser.SubPattern)):
        return False
    return any(_explodes(part, times) for part in parsed)
