"""Rules for the data that databases quote in their errors: the values of rows, and the statement that failed.

PostgreSQL's labels are those of its client library (https://www.postgresql.org/docs/current/protocol-error-fields.html);
the text after DETAIL and CONTEXT is in the server's language, so only well-known sentences are kept.
"""

import re

from telemetry.privacy.rule import MASK, Rule, rule
from telemetry.privacy.sql import without_literals_in_text

# In the `repr()` of an exception, line breaks are escaped.
_START = r"(?:\b|(?<=\\n))"
_NEXT_FIELD = r"LINE\s[0-9]|[A-Z][A-Z\s]{3,20}:|\^|File\s\"|The\sabove|During\shandling|Traceback"
# White space is examined only from its beginning, or from the label on.
END_OF_FIELD = rf"(?=(?:(?<!\s)|(?<=:\s))[^\S\n]*+\n\s*+(?:{_NEXT_FIELD})|\\n[A-Z]{{4}}|\Z)"

# Before a statement that is the content of a text in quotes; a word may come first, as `EXPLAIN`.
_OPENING = re.compile(r"""(\\*)(["'])[\w\s(;]{0,40}\Z""")
_LONGEST_OPENING = 64
# Up to the end of such a text, by its quote. SQL has identifiers in double quotes, which need not be escaped.
_CONTENT = {
    "'": re.compile(r"(?:[^'\\]|\\.)*+", re.DOTALL),
    '"': re.compile(r"""(?:[^"\\]|\\.|"[\w$]{1,63}"(?=[\s.,)=]))*+""", re.DOTALL),
}
_NEXT_FRAME = re.compile(r'\n[\s|]*(?:File\s"|[~^]+\n|The\sabove|During\shandling)')
_WORD = re.compile(r"\w")


def _without_literals(found: re.Match[str] | None) -> str:
    """Return a text that begins with a statement, and all that follows, without literals.

    What follows a statement in quotes, such as its parameters in JSON, is masked up to the next frame of a stack trace,
    or the carets below one: there, an expression that pairs quotes would take the texts for what is between them.
    """
    result: list[str] = []
    while found:
        end = _end_of_content(found)
        result.append(without_literals_in_text(found[0][:end]))
        rest = found[0][end:]
        frame = _NEXT_FRAME.search(rest)
        behind = rest[: frame.start()] if frame else rest
        rest = rest[len(behind) :]
        result.append(f"{behind[:1]}{MASK}" if _WORD.search(behind) else behind)
        found = found.re.search(rest)
        result.append(rest[: found.start()] if found else rest)
    return "".join(result)


def _end_of_content(found: re.Match[str]) -> int:
    """Return where the text in quotes ends that contains the statement; the whole length if there is none."""
    before, text = found.string[max(0, found.start() - _LONGEST_OPENING) : found.start()], found[0]
    opening = _OPENING.search(before)
    if opening is None:
        return len(text)
    escape, quote = opening.groups()
    if escape:
        closing = re.search(rf"(?<!\\){re.escape(escape)}{quote}", text)
        return closing.start() if closing else len(text)
    content = _CONTENT[quote].match(text)
    return content.end() if content else len(text)


DATABASE_RULES: tuple[Rule, ...] = (
    rule(
        "statement of a database error",
        ["line "],
        rf"{_START}((?-i:LINE)\s[0-9]{{1,9}}:)(?!\s\*\*\*)[^\n]+",
        rf"\1 {MASK}",
    ),
    rule(
        "context of a database error",
        ["query:", "context:", "statement:"],
        rf"{_START}((?-i:INTERNAL\sQUERY|QUERY|CONTEXT|STATEMENT):)\s(?!\s*\*\*\*).*?{END_OF_FIELD}",
        rf"\1 {MASK}",
        re.DOTALL,
    ),
    rule(
        "detail of a database error",
        ["detail:"],
        rf"""{_START}((?-i:DETAIL):)\s
            (?!\s*(?:\*\*\*|Key\s\(|Failing\srow\scontains\s\(|Process\s[0-9]+\swaits\sfor)).*?{END_OF_FIELD}""",
        rf"\1 {MASK}",
        re.DOTALL,
    ),
    # https://www.postgresql.org/docs/current/errcodes-appendix.html: the details of class 23 quote the row's values.
    rule(
        "key of a database error",
        ["key ("],
        r"""(key\s\([^\n]{0,300}?\)=\().*?(\)(?=\.?['"]?\s*$)|\)\s(?:(?:already\sexists|is\snot\spresent|is\sstill\sreferenced
            |is\sduplicated|was\s)[^\n]{0,200}$|conflicts\swith\sexisting)|\Z)""",
        rf"\1{MASK}\2",
        re.DOTALL | re.MULTILINE,
    ),
    rule(
        "process of a deadlock",
        ["blocked by process"],
        rf"((?:^|(?<=\n)|(?<=\\n))(?:[^\S\n]|\\t){{0,9}}Process\s[0-9]{{1,9}}:)\s(?!\*\*\*)[^\n]+.*?{END_OF_FIELD}",
        rf"\1 {MASK}",
        re.DOTALL,
    ),
    rule(
        "row of a database error",
        ["failing row"],
        r"(failing\srow\scontains\s\().*?(\)\.?(?=['\"]?\s*$)|\Z)",
        rf"\1{MASK}\2",
        re.DOTALL | re.MULTILINE,
    ),
    rule(
        "value of a database error",
        [
            "invalid ",
            "out of range",
            "malformed",
            "unrecognized token",
            'near "',
            "near \\",
            "could not ",
            'value "',
            "value \\",
            "unterminated",
            "duplicate entry",
            "incorrect ",
            "data too long",
            "syntax error in ",
            "parse error at ",
            "time zone ",
            "unrecognized ",
            "near '",
            "non valid",
        ],
        r"""((?:invalid\s(?:input|value|byte|regular|url|uri|json|memory|hexadecimal|base64|cidr|xml|time|name|datetime|symbol)
            |out\sof\srange|malformed|unrecognized\s(?:token|configuration)|near|syntax\serror\sin|parse\serror\sat
            |time\szone(?=\s\\{0,16}")|non\svalid[oaie]|could\snot\s(?:convert|parse|determine)|\bvalue(?=\s\\{0,16}")
            |unterminated|duplicate\sentry|incorrect\s[\w\s]{1,30}value|data\stoo\slong)
            [^\n"']{0,80})(["'])[^\n]*""",
        rf"\1\2{MASK}\2",
    ),
    rule(
        "value that is not valid",
        [" is not a valid", " is not valid"],
        r"""(?<!\w)"(?!\*\*\*)[^"\n]{0,1024}+"(?=\sis\snot\s(?:a\s)?valid)""",
        rf'"{MASK}"',
    ),
    rule(
        "parameters of a statement",
        ["parameters:", "[generated in", "[cached since", "[raw sql]", "[no key", "[caching disabled"],
        r"""(\[parameters:\s|\bparameters:\s(?=\$1\s=)
            |\[(?:generated\sin|cached\ssince|raw\ssql|no\skey|caching\sdisabled)[^\]\n]{0,60}\]\s(?=[\[({]))
            (?!\*\*\*|\(\)|\{\}|\[\])[^\n]+""",
        rf"\1{MASK}",
    ),
)
SQL_RULES: tuple[Rule, ...] = (
    rule(
        "SQL",
        [
            *("select", "insert", "update", "delete", "where", "having", "values", "with ", "merge into", "do $"),
            *("replace into", "exec ", "execute ", "pragma", "copy ", "set ", "alter ", "create ", "identified by"),
        ],
        r"""(?: select\s.{1,1000}?\sfrom\s | (?:insert|merge|replace)\s+into\s
            | update\s+\S{1,200}(?:\s+set\s|(?:\s+[\w",.]{1,63}){1,2}\s+set\s+[\w".]{1,63}\s?=)
            | delete\s+from\s | \bvalues\s*\(
            | \b(?:where|having)\s[^\n]{1,400}?(?:[=<>~]|\s(?:i?like|in|between)\s)
            | \b(?-i:SELECT|EXEC|EXECUTE|PRAGMA|COPY|DO(?=\s\$)|SET(?=\s+(?:\S{1,80}?\s?(?:=|TO\s)|PASSWORD\s))
                |(?:ALTER|CREATE)\s+(?:ROLE|USER)|IDENTIFIED\s+BY)\s
            | (?:^|(?<=[)"'`:;(]\s)|(?<=[)"'`:;(]))
              (?:select|exec(?:ute)?)\s+(?:[\w.]{1,63}\(|(?:[nebx]|u&|_\w{1,20})?'|[-+]?\s?\.?[0-9]|\$)
            | \bwith\s(?:recursive\s)?[\w"]{1,63}\s(?:\([^()]{1,200}\)\s)?as\s(?:(?:not\s)?materialized\s)?\( ).*""",
        _without_literals,
        re.DOTALL,
    ),
    # A rule of its own, as every stack trace contains the words "most recent call".
    rule(
        "SQL that calls a procedure",
        ["call "],
        r"\bcall\s+[\w.\"]{1,128}\s?\(.*",
        _without_literals,
        re.DOTALL,
    ),
)
