"""What is removed from free text: messages, stack traces, descriptions, names, unknown attributes.

Each rule has needles, and its expression runs only on texts that hold one of them: nearly all texts hold none. The
expressions are linear or bounded in what they look at; where a repetition could start anywhere in a long run, a look
behind lets it start only at the run's beginning.
"""

import re

from telemetry.privacy.database_errors import DATABASE_RULES
from telemetry.privacy.opaque import without_tokens
from telemetry.privacy.rule import MASK, Rule, rule
from telemetry.privacy.secrets import without_secrets

_ACCOUNT_WORDS = r"(?: user[_-]?name | user | account | login | role | superuser | staff | admin )"
_QUOTED_VALUE = r"""b?"(?:[^"\\]|\\.|"")*+(?:"|\Z) | b?'(?:[^'\\]|\\.|'')*+(?:'|\Z)"""
_VALUE = rf"""(?: \\{{0,16}} (?: {_QUOTED_VALUE} ) | [^\s,;&"'<>(){{}}\[\]]++ )"""
_QUOTE = r"""(?:\\{0,16}["'\])]){0,2}"""
# An "at" in the escapes of URLs, JSON, Python and HTML, and what is beside it in the same escapes.
_AT = r"(?:@|\\{1,16}(?:u0040|x40|u\{0{0,4}40\})|&(?:amp;){0,8}(?:\#0{0,5}64|\#x0{0,5}40|commat);)"
_ESCAPED = r"(?:\\{1,16}(?:u00|x)(?!40)[0-9a-f]{2}|&(?:amp;){0,8}\#(?!0{0,5}64;|x0{0,5}40;)x?[0-9a-f]{1,6};)"

_FIRST: tuple[Rule, ...] = (
    # Django's objects show their names so, and a WSGIRequest its query string.
    rule("representation", ["<"], r"(<[a-z_][\w.]{0,80}):\s[^<>]*(?:<[^<>]*>[^<>]*)*+(?:>|\Z)", rf"\1: {MASK}>"),
    rule("credentials in a URL", ["://"], r"(://)[^\s]{1,1024}@", rf"\1{MASK}@"),
    # A client may send a request line with blanks in it, and servers log it.
    rule(
        "request line",
        [" http/"],
        r"((?:^|(?<=[\s'\"]))[a-z]{3,20}\s[^\s?]{1,1024}\?)[^\n]*?(?=\sHTTP/[0-9]|\n|\Z)",
        rf"\1{MASK}",
    ),
    rule(
        "refused request",
        [
            "invalid ",
            "error handling request",
            "no more data after",
            "unable to comply",
            "unsupported transfer",
            "obsolete line",
        ],
        r"""((?:invalid\s(?:http|chunk|response|method|header)\b[\w\s]{0,40}|no\smore\sdata\safter
            |unable\sto\scomply\swith\sexpectation|unsupported\stransfer\scoding|obsolete\sline\sfolding\sis\sunacceptable)
            :\s|error\shandling\srequest\s(?!\(no))[^\n]*""",
        rf"\1{MASK}",
    ),
    rule(
        "query string",
        ["?"],
        r"(?<=[^\s?(,=])\?(?![\s),;:?\]'\"]|\Z)\S*+(?:\x20(?=[^\s&]{0,200}&[\w.%-]{1,80}=)\S*+)*+",
        f"?{MASK}",
    ),
    rule("query string in a URL's query", ["3f"], r"%(?:25)*3F(?=[\w.%-]{0,80}%(?:25)*3D)\S*+", f"?{MASK}"),
    rule(
        "private key",
        ["-----begin"],
        r"-----BEGIN\s[^-\n]{0,60}PRIVATE.*?(?:-----END[^-\n]{0,80}-----|\Z)",
        MASK,
        re.DOTALL,
    ),
)
_BY_NEEDLE: tuple[Rule, ...] = (
    rule(
        "secret in words",
        ["pass", "pwd", "secret", "token", "csrf", "session", "key", "knox"],
        r"""\b((?:password|passwd|pwd|passphrase|secret|(?:csrf|api|access)[\s_-]token|session|(?:session|api)[\s_-](?:id|key)
            |token|knox)\s{1,4}(?:was|is|of|value)?\s{0,4})
            ( "(?:[^"\n]|"")*+"? | '(?:[^'\n]|'')*+'? | (?=[^\s]*[0-9_!$%^+=/~-])[^\s,;:'"()]{6,} )""",
        rf"\1{MASK}",
    ),
    rule(
        "authorization scheme",
        ["bearer", "basic", "digest"],
        r"""\b(bearer|basic|digest)(\s{1,4})(?! (?:auth|realm|token\b|scheme) )[\w+/=.~:-]{3,}+""",
        rf"\1\2{MASK}",
    ),
    rule("JSON web token", ["eyj"], r"\beyJ[\w-]{8,}+(?:\.[\w-]*+)*+", MASK),
    rule("key of a cloud account", ["akia", "asia"], r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", MASK),
    rule(
        "token of a service",
        [
            *(
                "ghp_",
                "gho_",
                "ghu_",
                "ghs_",
                "ghr_",
                "github_pat_",
                "glpat-",
                "glsa_",
                "xox",
                "_live_",
                "_test_",
                "sk-",
            ),
            *("npm_", "pypi-", "hf_", "dop_v1_", "shpat_", "hvs.", "dckr_pat_", "aiza"),
        ],
        r"""(?<![a-z0-9]) (?: (?:gh[opusr]|glsa|[rs]k_(?:live|test)|npm|hf|dop_v1|shpat)_[a-z0-9]{16,}
            | github_pat_\w{16,}
            | (?:(?:glpat|xox[a-z]|pypi)-|dckr_pat_|aiza|hvs\.)[\w-]{20,} | sk-(?=[a-z_-]*[0-9])[\w-]{20,} )""",
        MASK,
    ),
    *DATABASE_RULES,
    # Django's admin and its log entries put the names of objects between these.
    rule("name of an object", ["\N{LEFT DOUBLE QUOTATION MARK}"], "“[^”]*+(?:”|\\Z)", f"“{MASK}”"),
    rule(
        "account",
        ["user", "account", "login", "role", "staff", "admin", "logged", "authentication", "sign"],
        rf"""\b({_ACCOUNT_WORDS}{_QUOTE}\s{{0,4}}(?:=>|==|=|:)\s{{0,4}}){_VALUE}
            | \b({_ACCOUNT_WORDS}{_QUOTE},\s{{0,4}})(?={_QUOTED_VALUE}){_VALUE}
            | \b({_ACCOUNT_WORDS}\s{{1,4}})("[^"\n]*+"?|'[^'\n]*+'?)
            | \b((?:for|by|of|from|as|logged\sin\sas)\s{{1,4}}(?:the\s{{1,4}})?(?:user|account|superuser|login|admin)
                \s{{1,4}})(?!in\b|is\b|was\b|has\b|and\b|with\b|from\b|at\b|to\b|on\b|name\b|records?\b|\*)[^\s,;:'"()<>]++
            | \b(logged\sin\sas\s{{1,4}}
                |(?:login|authentication|log-?in|sign-?in)\s(?:failed|attempt|denied|refused)\s(?:for|by|of)\s{{1,4}}["']?
                    (?!user\b))[^\s,;:'"()<>]++
            | \b((?:user|account)\s{{1,4}})[^\s,;:'"()<>]++(?=\s(?:logged|signed|failed|authenticated|is\slocked))""",
        lambda found: f"{found[1] or found[2] or found[3] or found[5] or found[6] or found[7]}{MASK}",
    ),
    rule(
        "email",
        ["@", "\N{FULLWIDTH COMMERCIAL AT}", "\N{SMALL COMMERCIAL AT}"],
        r"""(?!\*\*\*@)(?: "[^"\n@]{1,64}" | (?<![^\s"'<>()\[\]{},;:=|&?/\\@\uff20\ufe6b])
                [^\s"'<>()\[\]{},;:=|&?/\\@\uff20\ufe6b]++ ) [@\uff20\ufe6b]
            (?: \[[^\]\s]{1,64}\]? | [^\s"'<>()\[\]{},;:=|&?/\\@]++ )""",
        MASK,
    ),
    rule(
        "email in escapes",
        ["u0040", "x40", "{40", "{0040", "64;", "commat"],
        rf"""(?<![\w.%+-])(?:[\w.%+-]|{_ESCAPED}){{1,256}}+{_AT}(?:[\w.-]|{_ESCAPED}){{1,256}}+""",
        MASK,
    ),
    rule(
        "email in a URL",
        ["%40", "2540"],
        r"(?<![^\s\"'<>=&?/,;])(?=[^\s\"'<>=&?/,;]*%(?:25)*40)[^\s\"'<>=&?/,;]++",
        MASK,
    ),
)


def redact_text(text: str) -> str:
    """Return `text` without what the rules know."""
    lowered = text.lower()
    text = _apply(_FIRST, text, lowered)
    text = without_secrets(text, text.lower() if len(text) != len(lowered) else lowered)
    return without_tokens(_apply(_BY_NEEDLE, text, lowered))


def _apply(rules: tuple[Rule, ...], text: str, lowered: str) -> str:
    for known in rules:
        for needle in known.needles:
            if needle in lowered:
                text = known.pattern.sub(known.replacement, text)
                break
    return text
