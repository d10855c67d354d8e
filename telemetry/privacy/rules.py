"""What is removed from free text: messages, stack traces, descriptions, unknown attributes.

Each rule has needles, and its expression runs only on texts that hold one of them: nearly all texts hold none. The
expressions are linear or bounded in what they look at; where a repetition could start anywhere in a long run, a look
behind lets it start only at the run's beginning.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from telemetry.privacy.sql import without_literals

MASK = "***"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret. `needles` are in lower case; one of them must be in the text (lower-cased) for it to run."""

    kind: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]


def _rule(
    kind: str, needles: Sequence[str], pattern: str, replacement: str | Callable[[re.Match[str]], str], flags: int = 0
) -> Rule:
    return Rule(kind, tuple(needles), re.compile(pattern, flags | re.IGNORECASE | re.VERBOSE), replacement)


_NAMES_OF_SECRETS = r"""(?: pass(?:word|wd|code|phrase)? | pwd | secret(?:[_-]?key)? | token | csrf\w{0,20}
    | xsrf\w{0,20} | session(?:[_-]?(?:id|key|data))? | sid | api[_-]?key | access[_-]?key | private[_-]?key
    | credentials? | otp )"""
_ACCOUNT_WORDS = r"(?: user[_-]?name | user | account | login | role | superuser | staff | admin )"
# What stands behind a name's `=`: a quoted text, perhaps without its end, or all up to a separator.
_QUOTED_VALUE = r"""b?"(?:[^"\\]|\\.|"")*+(?:"|\Z) | b?'(?:[^'\\]|\\.|'')*+(?:'|\Z)"""
_VALUE = rf"""(?: {_QUOTED_VALUE} | [^\s,;&"'<>(){{}}\[\]]++ )"""
# Passwords may hold separators, so that only white space and the next field of a form end one.
_SECRET_VALUE = rf"""(?: [\[({{]{{0,2}} (?: {_QUOTED_VALUE} ) | [^\s&]++ )"""

RULES: tuple[Rule, ...] = (
    # Django's objects show their names so, and a WSGIRequest its query string.
    _rule("representation", ["<"], r"(<[a-z_][\w.]{0,80}):\s[^<>]*(?:<[^<>]*>[^<>]*)*+(?:>|\Z)", rf"\1: {MASK}>"),
    _rule("credentials in a URL", ["://"], r"(://)[^\s]{1,1024}@", rf"\1{MASK}@"),
    _rule("query string", ["?"], r"(?<=[^\s?(,=])\?(?![\s),;?'\"]|\Z)\S*+", f"?{MASK}"),
    _rule(
        "credential header",
        ["authorization", "cookie"],
        r"""((?:proxy[-_])?authorization|(?:set[-_])?cookies?)(["']?\s{0,4}[:=]\s{0,4})
            ( b?"(?:[^"\\\n]|\\.)*+(?:"|$) | b?'(?:[^'\\\n]|\\.)*+(?:'|$)
            | (?!\*\*\*(?:[,;'"\s)}\]]|$))[^\n]+ )""",
        rf"\1\2{MASK}",
        re.MULTILINE,
    ),
    _rule(
        "secret by name",
        ["pass", "pwd", "secret", "token", "csrf", "xsrf", "session", "sid", "key", "credential", "otp"],
        rf"""({_NAMES_OF_SECRETS}["'\])]{{0,2}}\s{{0,4}}(?:=>|:=|==|=|:|%3D|,(?=\s{{0,4}}["']))\s{{0,4}})
            (?:bearer\s|basic\s|token\s)?{_SECRET_VALUE}""",
        rf"\1{MASK}",
    ),
    _rule(
        "secret in words",
        ["pass", "pwd", "secret", "token", "csrf", "session", "key"],
        r"""\b((?:password|passwd|pwd|passphrase|secret|(?:csrf|api|access)[\s_-]token|session|(?:session|api)[\s_-](?:id|key)
            |token|knox)\s{1,4}(?:was|is|of|value)?\s{0,4})
            ( "(?:[^"\n]|"")*+"? | '(?:[^'\n]|'')*+'? | (?=[^\s]*[0-9_!$%^+=/~-])[^\s,;:'"()]{6,} )""",
        rf"\1{MASK}",
    ),
    _rule(
        "authorization scheme",
        ["bearer", "basic", "digest"],
        r"""\b(bearer|basic|digest)(\s{1,4})(?! (?:auth|realm|token\b|scheme) )[\w+/=.~:-]{3,}+""",
        rf"\1\2{MASK}",
    ),
    _rule("JSON web token", ["eyj"], r"\beyJ[\w-]{8,}+(?:\.[\w-]*+)*+", MASK),
    # https://www.postgresql.org/docs/current/errcodes-appendix.html: the details of class 23 quote the row's values.
    _rule(
        "key of a database error",
        ["key ("],
        r"(key\s\([^\n]{0,300}?\)=\().*?(\)\s(?:already|is|conflicts|from|with|was)|\Z)",
        rf"\1{MASK}\2",
        re.DOTALL,
    ),
    _rule(
        "row of a database error",
        ["failing row"],
        r"(failing\srow\scontains\s\().*?(\)\.?(?=\s|['\"]|\Z)|\Z)",
        rf"\1{MASK}\2",
        re.DOTALL,
    ),
    _rule(
        "value of a database error",
        ["invalid input", "out of range", "malformed", "unrecognized token", 'near "', "could not convert"],
        r"""((?:invalid\sinput\s(?:syntax|value)|out\sof\srange|malformed|unrecognized\stoken|near|could\snot\sconvert)
            [^\n"']{0,80})(["'])[^\n]*""",
        rf"\1\2{MASK}\2",
    ),
    # Django's admin and its log entries put the names of objects between these.
    _rule("name of an object", ["\N{LEFT DOUBLE QUOTATION MARK}"], "“[^”]*+(?:”|\\Z)", f"“{MASK}”"),
    _rule(
        "account",
        ["user", "account", "login", "role", "staff", "admin", "logged", "authentication", "sign"],
        rf"""\b({_ACCOUNT_WORDS}["'\])]{{0,2}}\s{{0,4}}(?:=>|==|=|:)\s{{0,4}}){_VALUE}
            | \b({_ACCOUNT_WORDS}\s{{1,4}})("[^"\n]*+"?|'[^'\n]*+'?)
            | \b((?:for|by|of|from|as|logged\sin\sas)\s{{1,4}}(?:the\s{{1,4}})?(?:user|account|superuser|login|admin)
                \s{{1,4}})(?!in\b|is\b|was\b|has\b|and\b|with\b|from\b|at\b|to\b|on\b|name\b|records?\b|\*)[^\s,;:'"()<>]++
            | \b(logged\sin\sas\s{{1,4}}
                |(?:login|authentication|log-?in|sign-?in)\s(?:failed|attempt|denied|refused)\s(?:for|by|of)\s{{1,4}}["']?
                    (?!user\b))[^\s,;:'"()<>]++
            | \b((?:user|account)\s{{1,4}})[^\s,;:'"()<>]++(?=\s(?:logged|signed|failed|authenticated|is\slocked))""",
        lambda found: f"{found[1] or found[2] or found[4] or found[5] or found[6]}{MASK}",
    ),
    _rule(
        "SQL",
        ["select", "insert", "update", "delete", "where", "values"],
        r"""(?: select\s.{1,1000}?\sfrom\s | insert\s+into\s | update\s+\S{1,200}\s+set\s | delete\s+from\s
            | \bvalues\s*\( | \bwhere\s[^\n]{1,400}?(?:[=<>]|\slike\s|\sin\s) ).*""",
        lambda found: _literals(found[0]),
        re.DOTALL,
    ),
    _rule(
        "email",
        ["@"],
        r"""(?!\*\*\*@)(?: "[^"\n@]{1,64}" | (?<![^\s"'<>()\[\]{},;:=|&?/\\@]) [^\s"'<>()\[\]{},;:=|&?/\\@]++ ) @
            (?: \[[^\]\s]{1,64}\]? | [^\s"'<>()\[\]{},;:=|&?/\\@]++ )""",
        MASK,
    ),
    _rule(
        "email in a URL",
        ["%40"],
        r"(?<![^\s\"'<>=&?/,;])(?=[^\s\"'<>=&?/,;]*%40)[^\s\"'<>=&?/,;]++",
        MASK,
    ),
)

# knox's tokens have 64 hexadecimal digits, Django's session keys 32 letters and digits, its CSRF tokens 32 or 64.
# Exactly 32 hexadecimal digits are a trace id, or a UUID, and stay.
LONGEST_WORD = 31
OPAQUE = re.compile(
    r"(?<![A-Za-z0-9])(?![0-9a-f]{32}(?![A-Za-z0-9]))(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32,}+"
)

_QUOTED = re.compile(r"'(?:[^']|'')*+(?:'|\Z)")
_COMPARED = re.compile(r"([=<>(,]\s{0,4}|\b(?:like|in|limit|offset)\s{1,4})-?[0-9]\w*+", re.IGNORECASE)


def _literals(text: str) -> str:
    # What follows the statement in a message is no SQL, so that only what must be a literal goes.
    return _COMPARED.sub(r"\1?", _QUOTED.sub("?", text))


def redact_text(text: str) -> str:
    """Return `text` without what the rules know."""
    lowered = text.lower()
    for rule in RULES:
        for needle in rule.needles:
            if needle in lowered:
                text = rule.pattern.sub(rule.replacement, text)
                break
    return OPAQUE.sub(MASK, text) if len(text) > LONGEST_WORD else text


def redact_sql(text: str) -> str:
    """Return a statement without its literals."""
    return without_literals(text)
