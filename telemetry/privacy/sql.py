"""SQL without its literals: the statement's shape stays, the values go.

https://opentelemetry.io/docs/specs/semconv/database/database-spans/#sanitization-of-dbquerytext
"""

import re
from functools import lru_cache

# In one pass, so that a quote inside of a comment, an identifier or another literal is not taken for the start of one.
_TOKENS = re.compile(
    r"""
    (?P<name>"[\w$. -]{1,63}")                                   # an identifier
  | (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))                       # sqlcommenter puts request values there
  | (?P<string>[eE]'(?:[^'\\]|''|\\.)*+(?:'|\Z)                  # PostgreSQL's strings with backslashes
      | (?:[uU]&|[bBxXnN])?'(?:[^']|'')*+(?:'|\Z)
      | \$(?P<tag>[A-Za-z_]\w{0,62})?\$.*?(?:\$(?(tag)(?P=tag))\$|\Z)
      | "(?:[^"]|"")*+(?:"|\Z))                                  # no sane identifier: SQLite takes it for a string
  | (?P<keep>[%$:@]\(?\w+\)?\w?|[A-Za-z_]\w*+)                     # placeholders and words
  | (?P<number>[0-9][\w.]*+(?:(?<=[eE])[+-][0-9]+)?)
    """,
    re.VERBOSE | re.DOTALL,
)
_CACHED_LENGTH = 4096


def without_literals(statement: str) -> str:
    """Return `statement` with `?` for each literal and without comments."""
    # Statements repeat, but for those with texts in them, which have no business in a cache.
    if len(statement) <= _CACHED_LENGTH and "'" not in statement and "$" not in statement:
        return _cached(statement)
    return _TOKENS.sub(_replacement, statement)


@lru_cache(maxsize=512)
def _cached(statement: str) -> str:
    return _TOKENS.sub(_replacement, statement)


def _replacement(token: re.Match[str]) -> str:
    if token["name"] or token["keep"]:
        return token[0]
    return "" if token["comment"] else "?"
