"""Values that are lists: names, resource attributes, headers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from telemetry.config.values import MASK, Pairs, Parser, RefusalError

_TOKEN_CHARACTERS = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True)
class Names(Parser[tuple[str, ...]]):
    """A comma-separated list of names without repetitions; `none` alone is the empty list."""

    values: Sequence[str]

    @property
    def accepted(self) -> str:
        return f"{', '.join(self.values)} (several separated by commas), or none"

    def __call__(self, text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
        if names == ("none",):
            return ()
        if not set(names) <= set(self.values):
            raise RefusalError
        return names


class Attributes(Parser[Pairs]):
    """`name=value,name2=value2` with percent escapes, as in W3C Baggage."""

    accepted = "name=value,name2=value2 (commas and other special characters percent-encoded)"

    def __call__(self, text: str) -> Pairs:
        return tuple(dict(self._pair(number, entry) for number, entry in _entries(text)).items())

    def _pair(self, number: int, entry: str) -> tuple[str, str]:
        name, equals, value = entry.partition("=")
        name, value = unquote(name.strip()), unquote(value.strip())
        if not equals or not name:
            raise RefusalError(f"has no name=value in entry {number}")
        if not f"{name}{value}".isprintable() or "\N{REPLACEMENT CHARACTER}" in f"{name}{value}":
            raise RefusalError(f"has a character that cannot be sent in entry {number}")
        return name, value


class Headers(Attributes):
    """`name=value,name2=value2`: names are lower-cased; values may contain blanks, `=` and percent escapes."""

    accepted = "name=value,name2=value2 (names as in HTTP; commas in values as %2C)"

    def _pair(self, number: int, entry: str) -> tuple[str, str]:
        name, value = super()._pair(number, entry)
        if not _TOKEN_CHARACTERS.fullmatch(name):
            raise RefusalError(f"has an invalid header name in entry {number}")
        if not _PRINTABLE.fullmatch(value):
            raise RefusalError(f"has a character that a header cannot contain in entry {number}")
        return name.lower(), value

    def mask(self, text: str) -> str:  # noqa: ARG002  (the whole text is masked)
        # Nothing is kept, not even names: a comma inside a token makes the token's rest look like a name.
        return MASK


def _entries(text: str) -> list[tuple[int, str]]:
    return [(number, entry) for number, entry in enumerate(text.split(","), 1) if entry.strip()]
