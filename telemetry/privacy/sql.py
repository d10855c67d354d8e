"""Removes literals from SQL: the statement keeps its structure without the values.

https://opentelemetry.io/docs/specs/semconv/database/database-spans/#sanitization-of-dbquerytext
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

_STRING = r"'(?:[^']|'')*+(?:'|\Z)"
_BACKSLASHES = r"'(?:[^'\\]|''|\\.)*+(?:'|\Z)"
# For an unknown meaning of a backslash before a quote, nothing after it is taken for SQL.
_EITHER = r"'(?:[^'\\]|''|\\(?!'))*+(?:'|\\'.*+|\Z)"
# Within other texts, up to the next frame of a stack trace; there the quotes themselves may be escaped.
_IN_TEXT = r"""(?:\\{1,16}'[^'\\]*+\\{1,16}' | '(?:[^'\\]|''|\\(?!'))*+(?:'|\\'.*?(?=\n[\s|]*File\s"|\Z)|\Z))"""
_TICKED = r"`[^`]*+`|\[[A-Za-z_][\w$ ]{0,62}\]"
_NEVER = "(?!)"


def _doubled(string: str) -> str:
    """Return the expression `string` for double quotes."""
    return string.replace("'", '"')


def _tokens(
    string: str,
    name: str,
    *,
    ticked: str = _TICKED,
    comment: str = "--",
    brackets: str = _NEVER,
    mark: str = r"[^\s\w']",
) -> str:
    """Return an expression that finds the tokens in one pass, so that no quote within a token starts another."""
    return rf"""
        (?P<name>{name})                                        # an identifier, or a text where the database lets it
      | (?P<ticked>{ticked}) | (?P<bracket>{brackets})
      | (?P<line>(?:{comment})[^\n]*) | (?P<comment>/\*)         # sqlcommenter puts request values there
      | (?P<string>[nN]?[qQ]'(?:\[.*?(?:\]'|\Z)|\{{.*?(?:\}}'|\Z)|\(.*?(?:\)'|\Z)|<.*?(?:>'|\Z)
            |(?P<mark>{mark}).*?(?:(?P=mark)'|\Z))
          | [eE]{_BACKSLASHES}
            (?:(?:[ \t\r]|--[^\n]*)*+\n(?:\s|--[^\n]*\n)*+{_BACKSLASHES})*+ | (?:[uU]&|[bBxXnN])?{string}
          | \$(?P<tag>[^\W\d]\w{{0,62}})?\$.*?(?:\$(?(tag)(?P=tag))\$|\Z))
      | (?P<keep>%\([A-Za-z_]\w*\)[A-Za-z] | [%:@$]?[A-Za-z_]\w*+ | \$[0-9]{{1,5}}+(?![\w.]) | \?[0-9]{{0,5}}+)
      | (?P<number>[0-9][\w.]*+(?:(?<=[eE])[+-][0-9]+)?)
        """


_TEXT = "text"
"""Not a dialect, but a statement within another text, which continues after it."""
_TOKENS = {
    "postgresql": _tokens(_STRING, _doubled(_STRING), ticked=_NEVER),
    "sqlite": _tokens(_STRING, _doubled(_STRING)),
    "mysql": _tokens(_BACKSLASHES, _doubled(_BACKSLASHES), comment=r"--|\#"),
    "mariadb": _tokens(_BACKSLASHES, _doubled(_BACKSLASHES), comment=r"--|\#"),
    "": _tokens(_EITHER, _doubled(_EITHER), brackets=r"[()]", comment=r"--|\#", mark=r"[^\s']"),
    _TEXT: _tokens(_IN_TEXT, _doubled(_IN_TEXT), brackets=r"[()]", comment=r"(?<!-)--(?!-)"),
}
_FLAT_COMMENTS = frozenset({"sqlite", "mysql", "mariadb"})
_COMMENT_MARK, _COMMENT_END = re.compile(r"/\*|\*/"), re.compile(r"\*/")
_CACHED_LENGTH = 4096

_IDENTIFIER = re.compile(r'\\*"[\w$. -]{1,63}\\*"')
_BEFORE_IDENTIFIER = re.compile(
    r"""(?:\.|\b(?:from|join|into|update|table|as|index|view|savepoint|to|release|only|constraint|column|references|exists
        |by|add|on)\s*|\bconflict\s*\((?:[^()]*,)?\s*)\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_BEFORE_VALUE = re.compile(
    r"(?:[=<>]|\|\||\b(?:like|values|in|between|and|then|else|default)\s*\(?|\bvalues\s*\([^()]*,)\s*\Z", re.IGNORECASE
)
# After the first words, and after a name that follows the second, a bracket contains names, or any expression.
_BEFORE_NAMES = frozenset(
    {
        *("as", "over", "using", "on", "and", "or", "where", "not", "exists", "having", "from", "join", "select"),
        *("when", "by", "key", "unique", "check", "with", "only"),
    }
)
_BEFORE_NAMED = frozenset({"into", "table", "references", "on", "with", "join", "view", "index"})
_SUBQUERY = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)
_OPERATORS = frozenset("=<>(,+*/|[")
_BEFORE_NUMBER = re.compile(
    r"""(?:[=<>(,+*/|\[]|\b(?:select|like|in|limit|offset|between|and|or|not|values|then|else|when|set|interval|top|first
        |next|any|all))\s{0,4}(?:(?<!\w)[-+]\s{0,4})?\.?\Z|(?<=\s)-\s{0,4}\.?\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_BEHIND_IDENTIFIER = re.compile(r"\s*\.")
_COLUMNS = re.compile(r"""\binto\s+(?:"[^"]+"|[\w.]+)(?:\."[^"]+")?\s*\([^()]*\)""", re.IGNORECASE)
_UPDATE = re.compile(r"(?:\A\s*|\bdo\s+)update\b", re.IGNORECASE)
_BEFORE_ASSIGNMENT = re.compile(r"(?:\bset|,)\s*\Z", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"\s*=(?!=)")
_DEFINITION = re.compile(r"\s*(?:create|alter|drop)\b", re.IGNORECASE)
_LOOK_BACK = 64
_LOOK_BACK_FOR_NUMBERS = 20

_VERB = re.compile(
    r"""[\s(]*+(select|insert|update|delete|with|merge|replace|begin|commit|rollback|savepoint|release|set|show|pragma
        |create|alter|drop|truncate|explain|analyze|vacuum|call|copy|lock|declare|fetch|close|values|exec|execute|do
        |comment|reindex|refresh|prepare|deallocate|listen|unlisten|notify|attach|detach|reset|discard|start|end
        |abort|use|describe|optimize)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NAME_OF_TABLE = r"""(?!(?:select|lateral|stdin)\b)(?:(?:"[\w$]{1,63}"|[A-Za-z_]\w{0,62})\.){0,2}
    (?:"(?P<quoted>[\w$]{1,63})"|(?P<plain>[A-Za-z_]\w{0,62}))(?![\w"(.])"""
# The first line: words that are followed by something else, as in "EXTRACT(YEAR FROM a)" and "FOR UPDATE".
_TABLE = re.compile(
    rf"""\(\s*(?!(?:select|delete)\b)[\w."]{{1,80}}\s+from\b | \bdistinct\s+from\b | \b(?:do|for|key)\s+update\b
      | \b(?:from|join|into|update|table)\s+(?:only\s+|or\s+\w{{1,9}}\s+|if\s+(?:not\s+)?exists\s+)?{_NAME_OF_TABLE}""",
    re.IGNORECASE | re.VERBOSE,
)
_NEXT_TABLE = re.compile(
    rf"""(?:\s+(?:as\s+)?(?:"[\w$]{{1,63}}"|\w{{1,63}}))?\s*,\s*{_NAME_OF_TABLE}""", re.IGNORECASE | re.VERBOSE
)
# Up to where a literal may begin, whose text could be taken for SQL if the dialect is wrong.
_SURE = re.compile(r"""(?:[^"'$`\[#/-]|"[\w$]{1,63}"|-(?!-)|/(?!\*))*+""")
_MOST_TABLES = 8


def is_known(dialect: str) -> bool:
    """Return whether the literals of a database are known."""
    return dialect in _TOKENS and dialect not in ("", _TEXT)


def without_literals(statement: str, dialect: str = "") -> str:
    """Return `statement` with `?` for each literal and without comments.

    `dialect` is the value of `db.system.name`; an unknown one is treated in the way that hides more.
    """
    # Statements recur, except for those with string literals, which must not be cached.
    if len(statement) <= _CACHED_LENGTH and "'" not in statement and "$" not in statement:
        return _cached(statement, dialect)
    return _without_literals(statement, dialect)


def operation(statement: str, dialect: str = "") -> str:
    """Return the operation of `statement`, such as SELECT, or "" if unknown; `dialect` as in `without_literals`."""
    verb = _VERB.match(without_literals(statement[:_CACHED_LENGTH], dialect))
    return verb[1] if verb else ""


def summary(statement: str) -> str:
    """Return only the operation and the tables of `statement`, "" for an unknown operation.

    https://opentelemetry.io/docs/specs/semconv/database/database-spans/#generating-a-summary-of-the-query
    """
    if not (verb := operation(statement)):
        return ""
    sure = _SURE.match(statement[:_CACHED_LENGTH])
    tables = dict.fromkeys(_tables(sure[0] if sure else ""))
    return " ".join([verb.upper(), *list(tables)[:_MOST_TABLES]])


def _tables(statement: str) -> Iterator[str]:
    position = 0
    while found := _TABLE.search(statement, position):
        position = found.end()
        while found and (name := found["quoted"] or found["plain"]):
            yield name
            position = found.end()
            found = _NEXT_TABLE.match(statement, position)


def without_literals_in_text(text: str) -> str:
    """Return `text`, which begins with a statement that may end anywhere, with `?` for what must be a literal."""
    return _without_literals(text, _TEXT)


@cache
def _compiled_tokens(dialect: str) -> re.Pattern[str]:
    """Return the expression for a dialect, compiled for its first statement: most processes need one at most."""
    return re.compile(_TOKENS[dialect], re.VERBOSE | re.DOTALL)


def _without_literals(statement: str, dialect: str) -> str:
    tokens = _compiled_tokens(dialect if dialect in _TOKENS else "")
    result: list[str] = []
    of_values: list[bool] = []
    """For each open bracket, whether it contains values."""
    position, closed = 0, False
    while token := tokens.search(statement, position):
        result.append(statement[position : token.start()])
        position = token.end()
        if token["keep"] or token["ticked"]:
            result.append(token[0])
        elif token["comment"]:
            position = _end_of_comment(statement, position, nested=dialect not in _FLAT_COMMENTS)
        elif bracket := token["bracket"]:
            result.append(bracket)
            if bracket == "(":
                of_values.append(_opens_values(token, after_list=closed))
            elif of_values:
                closed = of_values.pop()
        elif token["name"]:
            within = bool(of_values) and of_values[-1]
            result.append(token[0] if _is_identifier(token, dialect, within_values=within) else "?")
        elif token["number"] and dialect is _TEXT:
            result.append("?" if _follows_operator(token) else token[0])
        elif not token["line"]:
            result.append("?")
    result.append(statement[position:])
    return "".join(result)


def _before(token: re.Match[str]) -> str:
    return token.string[max(0, token.start() - _LOOK_BACK) : token.start()]


def _follows_operator(token: re.Match[str]) -> bool:
    start = token.start()
    if token.string[max(0, start - 1) : start] in _OPERATORS:
        return True
    return _BEFORE_NUMBER.search(token.string, max(0, start - _LOOK_BACK_FOR_NUMBERS), start) is not None


def _opens_values(token: re.Match[str], *, after_list: bool) -> bool:
    """Return whether a bracket opens the values of a list or of a call."""
    before = _before(token).rstrip()
    if not before or before[-1] in "(+*/|-,":
        return after_list and before[-1:] == "," and before[:-1].rstrip()[-1:] == ")"
    *_, named, word = "", "", *before.lower().split()
    word = word.rpartition("(")[2]
    is_name = word in _BEFORE_NAMES or named in _BEFORE_NAMED
    return not is_name and not _SUBQUERY.match(token.string, token.end())


_cached = lru_cache(maxsize=512)(_without_literals)


def _end_of_comment(statement: str, position: int, *, nested: bool) -> int:
    depth = 1
    while depth:
        mark = (_COMMENT_MARK if nested else _COMMENT_END).search(statement, position)
        if mark is None:
            return len(statement)
        position = mark.end()
        depth += 1 if mark[0] == "/*" else -1
    return position


def _is_identifier(token: re.Match[str], dialect: str, *, within_values: bool) -> bool:
    """Return whether a text in double quotes is an identifier; SQLite takes an unknown one for a string."""
    if dialect in ("mysql", "mariadb") or not _IDENTIFIER.fullmatch(token[0]):
        return False
    if dialect == "postgresql":
        return True
    statement = token.string
    if _BEHIND_IDENTIFIER.match(statement, token.end()):
        return True
    before = _before(token)
    if dialect != "sqlite":
        return before.endswith(".") or not (within_values or _BEFORE_VALUE.search(before))
    return bool(
        _BEFORE_IDENTIFIER.search(before)
        or (_DEFINITION.match(statement) and not _BEFORE_VALUE.search(before))
        or (
            _BEFORE_ASSIGNMENT.search(before)
            and _ASSIGNMENT.match(statement, token.end())
            and token.start() in _update(statement)
        )
        or token.start() in _columns(statement)
    )


# Once for all tokens of a statement.
@lru_cache(maxsize=1)
def _columns(statement: str) -> range:
    """Return where the columns of an INSERT are."""
    found = _COLUMNS.search(statement)
    return range(*found.span()) if found else range(0)


@lru_cache(maxsize=1)
def _update(statement: str) -> range:
    """Return where the assignments of an UPDATE may be, or those after ON CONFLICT."""
    found = _UPDATE.search(statement)
    return range(found.end(), len(statement)) if found else range(0)
