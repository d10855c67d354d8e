"""Tokens without a name, recognised by their randomness.

Random text changes between lower case, upper case and digits at nearly every second character; words, identifiers,
paths and versions rarely do. UUIDs, trace ids and trace parents also look random, but are kept.
"""

import re
from functools import lru_cache

SHORTEST = 20
"""The least number of letters and digits in a token."""

# The share of letters and digits that begin a word, an abbreviation or a number: 0.2 in identifiers, 0.5 in Base64.
_SHARE = 0.29
_SHARE_OF_LETTERS = 0.42  # without digits
_LONG = 32
_MASK = "***"

# A candidate: a token, a path, or a path that contains a token.
_RUN = re.compile(r"(?<![A-Za-z0-9_+/~%-])[A-Za-z0-9_.+/~%-]{20,}+={0,2}")
_ESCAPED = re.compile(r"%(?:25)*[0-9A-Fa-f]{2}")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_BEGINNING = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_NUMBERED = re.compile(r"(?:[A-Z]?[a-z]{2,}|[A-Z]{2,})[0-9]{1,4}")
_CAMEL = re.compile(r"(?:(?:[A-Z][a-z]+|IPv)[0-9]{0,3}){3,}")
_MIXED = re.compile(r"(?=[A-Za-z]*[0-9])[0-9]*[A-Za-z]")
_KEPT = re.compile(
    r"""[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}   # a UUID
      | [0-9a-f]{32}                                           # a trace id, or a UUID without hyphens
      | [0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}      # a trace parent
      | (?:[a-z]{1,30}[0-9]{0,3}-){1,8}                        # a pod of Kubernetes
        [bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}""",
    re.VERBOSE,
)
_DIGIT = re.compile(r"[0-9]")
_LONGEST_REMEMBERED = 256


def without_tokens(text: str) -> str:
    """Return `text` with a mask for everything that looks like a random token."""
    return _RUN.sub(_replacement, text) if len(text) >= SHORTEST else text


def _replacement(run: re.Match[str]) -> str:
    found = run[0]
    return _known(found) if len(found) <= _LONGEST_REMEMBERED else _masked(found)


def _masked(run: str) -> str:
    """Return `run` with a mask for each sequence of path segments that look random."""
    result: list[str] = []
    odd: list[str] = []
    for segment in run.split("/"):
        if _looks_random(segment):
            odd.append(segment)
            continue
        _settle(odd, result)
        result.append(segment)
    _settle(odd, result)
    return "/".join(result)


# Paths recur in stack traces. Masked tokens are cached as well, but never leave the process.
_known = lru_cache(maxsize=2048)(_masked)


def _settle(odd: list[str], result: list[str]) -> None:
    """Move `odd` to `result`, masked if it is long enough; Base64 contains slashes, too."""
    if sum(len("".join(_PIECE.findall(_plain(segment)))) for segment in odd) >= SHORTEST:
        result.append(_MASK)
    else:
        result += odd
    odd.clear()


def _looks_random(segment: str) -> bool:
    if _KEPT.fullmatch(segment.rstrip(".")):
        return False
    pieces = _PIECE.findall(_plain(segment))
    if any(len(piece) >= _LONG and _MIXED.match(piece) and not _CAMEL.fullmatch(piece) for piece in pieces):
        return True
    beginnings = {piece: len(_BEGINNING.findall(piece)) for piece in pieces}
    mixed = [
        piece
        for piece in pieces
        if beginnings[piece] > 1 and not _NUMBERED.fullmatch(piece) and not _CAMEL.fullmatch(piece)
    ]
    characters = sum(map(len, mixed))
    share = _SHARE if any(map(_DIGIT.search, mixed)) else _SHARE_OF_LETTERS
    return 2 * characters > sum(map(len, pieces)) and sum(map(beginnings.__getitem__, mixed)) >= characters * share


def _plain(segment: str) -> str:
    return _ESCAPED.sub("+", segment) if "%" in segment else segment
