"""The redaction of free text: messages, stack traces, descriptions, names, unknown attributes.

Each rule has needles, and its expression runs only on texts that contain one of them, which nearly all texts do not.
The expressions take linear time or match a limited length; where a repetition could start anywhere in a long run, a
lookbehind lets it start only at the run's beginning.
"""

import re

from telemetry.privacy.database_errors import DATABASE_RULES, SQL_RULES
from telemetry.privacy.foreign_errors import FOREIGN_RULES
from telemetry.privacy.names import SHORT_WORDS, WORDS, is_count
from telemetry.privacy.opaque import without_tokens
from telemetry.privacy.rule import MASK, Rule, rule
from telemetry.privacy.secrets import without_secrets

_ACCOUNT_WORDS = r"(?: user[_-]?name | user | account | login | role | superuser | staff | admin )"
# Words after "user" that are not a name.
_NO_ACCOUNT = r"""(?:in|is|was|has|and|with|from|at|to|on|name|records?|requests?|management|actions?|deletion|creation
    |settings|accounts?|code|pages?|input|data|ids?|agents?|interface|groups?|roles?|profiles?|sessions?|lookup|activity
    |registration|update|events?|models?|tables?|services?|types?|lists?|preferences|permissions?|only|validation|import|export
    |authentication|count|queries|query|objects?|fields?|details|tokens?|login|space|experience)\b"""
_BLANK = r"[^\S\n]{1,4}"
_QUOTED_VALUE = r"""b?"(?:[^"\\]|\\.|"")*+(?:"|\Z) | b?'(?:[^'\\]|\\.|'')*+(?:'|\Z)"""
_VALUE = rf"""(?: \\{{0,16}} (?: {_QUOTED_VALUE} ) | [^\s,;&"'<>(){{}}\[\]]++ )"""
_MARK = r"""\\{0,16}["']"""
_SPACE = r"[\x20\xa0+-]?"
_QUOTE = r"""(?:\\{0,16}["'\])]){0,2}"""
_ASSIGNED = rf"{_ACCOUNT_WORDS}{_QUOTE}\s{{0,4}}(?:=>|==|=|:)\s{{0,4}}"
_NO_PREFIXES = "is has max min per total users auth test"
# A name may have a prefix ("db_user"), but not one of a table or a number, and its value is no count or parameter.
_OTHER_PREFIXES = "".join([rf"(?<!\b{word}_)" for word in _NO_PREFIXES.split()])
_ACCOUNT = rf"""(?<![^\W_]) (?:(?<!_) | (?=user){_OTHER_PREFIXES}
    (?!{_ASSIGNED}(?:true|false|none|null|[0-9]{{1,7}}|%s|\?|\$[0-9]{{1,3}})(?![\w@-]|\.\w)))"""
# A member of a list that is no sentence.
_MEMBER = r"""b?\\{0,16}(?:"[^\s"\\]{1,80}+(?<!\.)\\{0,16}"|'[^\s'\\]{1,80}+(?<!\.)\\{0,16}')"""
# Text directly before an email address that is not a part of it.
_LABEL = re.compile(
    r"""(?: [{|&?=] | /(?:[^/]*+/)*+ | (?:[\w.]{0,40}mail
        | to|from|b?cc|user(?:name)?|login|account|sender|recipient|address|value|next|name|id|q)= )*+""",
    re.IGNORECASE | re.VERBOSE,
)
# An "@" as escaped in URLs, JSON, Python and HTML, and the other characters in the same escapes.
_AT = r"""(?:@|\\{1,16}(?:u0040|x40|100|U00000040|N\{COMMERCIAL\x20AT\}|u\{0{0,4}40\})|%(?:25)*u0040|=40
    |&(?:amp;){0,8}(?:\#0{0,9}64(?![0-9])|\#x0{0,9}40(?![0-9a-f])|commat);?)"""
_ESCAPED = r"""(?:\\{1,16}(?:u00|x)(?!40|000040)[0-9a-f]{2}
    |&(?:amp;){0,8}\#(?!0{0,9}64(?![0-9])|x0{0,9}40(?![0-9a-f]))x?[0-9a-f]{1,9};)"""

# Escaped letters, which are unescaped first: otherwise names are not recognised.
_LETTER = re.compile(
    r"\\{1,16}(?:u00|x)([4-7][0-9a-f])|%(?:25)*([4-7][0-9a-f])|&(?:amp;)*#(?:x0*([4-7][0-9a-f])|0*([0-9]{2,3}));",
    re.IGNORECASE,
)
# What colours a text in a terminal may be within a name and its value.
_COLOUR = re.compile(r"\x1b\[[0-9;]*+m")
_ESCAPE = re.compile(r"%(?:25)*[4-7]|\\(?:u00|x)[4-7]|&#|&amp;")

# White space in the `repr()` of a text and in JSON, in that of these, and once more; and blanks that stand for it.
_ESCAPES = [backslashes + letter for backslashes in ("\\\\\\\\", "\\\\", "\\") for letter in "nrt"]
_ESCAPED_BLANK = re.compile(r"(?<!\\)(?:\\{4}|\\{1,2})[nrt]")
_FIRST_BLANK = 0x2000
_BLANKS = re.compile("[\u2000-\u2008]")
_NO_BLANKS = dict.fromkeys(range(_FIRST_BLANK, _FIRST_BLANK + len(_ESCAPES)), " ")


def _without_value(found: re.Match[str]) -> str:
    """Return an option of a command with a mask for its value, unless that is a count."""
    value = found["value"]
    is_number = value.isascii() and value.isdigit() and is_count(found["name"], int(value[:9]))
    return found[0] if is_number else f"{found[1]}{MASK}"


def _without_card(found: re.Match[str]) -> str:
    """Return a mask for a number whose check digit is that of a card (https://en.wikipedia.org/wiki/Luhn_algorithm)."""
    *others, check = (int(character) for character in found[0] if character.isdigit())
    doubled = [sum(divmod(2 * digit, 10)) for digit in others[::-2]]
    return found[0] if (sum(doubled) + sum(others[-2::-2]) + check) % 10 else MASK


_FIRST: tuple[Rule, ...] = (
    # The `repr()` of Django's objects contains their names, that of a WSGIRequest its query string.
    rule("representation", ["<"], r"(<[a-z_][\w.]{0,80}):\s[^<>]*(?:<[^<>]*>[^<>]*)*+(?:>|\Z)", rf"\1: {MASK}>"),
    rule("credentials in a URL", ["://"], r"(://)[^\s]{1,1024}@", rf"\1{MASK}@"),
    # A client may send a request line with blanks in its query string, and servers log it.
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
        r"""(?: (?<=[^\s?(,=])\?(?![\s),;:?\]'"]|\Z) | (?<=[^\s?(,=])\?{2,}+(?![\s),;:?\]'"]|\Z)
            | (?<!\?)\?++(?=['"]?[\w.%\[\]+-]{1,200}=) ) \S*+(?:\x20(?=[^\s&]{0,200}&[\w.%-]{1,80}=)\S*+)*+""",
        f"?{MASK}",
    ),
    # Of WSGI's and ASGI's variables, and of events of serverless functions.
    rule(
        "query string of a request",
        ["query_string", "querystring", "query-string"],
        rf"""(query[_-]?string(?:parameters)?(?:{_MARK})?\s{{0,4}}[:=]\s{{0,4}})(?!\*\*\*|b?(?:{_MARK}){{2}}|null\b|none\b|%s)
            (?: \\{{0,16}} (?: {_QUOTED_VALUE} ) | \{{[^{{}}]*+\}}? | [^\s"'<>(){{}}\[\]]++ )""",
        rf"\1{MASK}",
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
        "value before its name",
        ["value", "content"],
        rf"""(\b(?:value|content)(?:{_MARK})?\s{{0,4}}[:=]\s{{0,4}})(?P<quote>{_MARK})
            (?:(?!(?P=quote))(?:\\.|.)){{0,2048}}+(?P=quote)
            (?P<rest>(?:[\s,]{{1,4}}+(?:{_MARK})?(?!(?:value|content)\b)[\w-]{{1,30}}+(?:{_MARK})?\s?[:=]\s?
                (?:{_MARK}[\w\x20.-]{{0,80}}+{_MARK}|[\w.-]{{0,80}}+)){{0,3}}?
                [\s,]{{1,4}}+(?:{_MARK})?(?:name|key|field|header|option|id|type)(?:{_MARK})?\s{{0,4}}[:=]\s{{0,4}}{_MARK}
                [\w\x20.-]{{0,40}}(?=[a-z])(?:{WORDS}|{SHORT_WORDS})
                (?:[\w\x20-]|\.(?:id|key|value|token|secret)\b){{0,80}}+["'\\])""",
        rf"\1{MASK}\g<rest>",
        re.DOTALL,
    ),
    rule(
        "secret in words",
        ["pass", "pwd", "secret", "token", "csrf", "session", "key", "knox"],
        r"""\b((?:password|passwd|pwd|passphrase|secret|(?:csrf|api|access)[\s_-]token|session|(?:session|api)[\s_-](?:id|key)
            |token|knox)\s{1,4}(?:was|is|of|value)?:?\s{0,4})
            ( "(?:[^"\n\\]|""|\\.)*+"? | '(?:[^'\n\\]|''|\\.)*+'?
            | (?!\w+count=|[a-z]+(?<=count)=|[a-z]{1,20}(?:[_-][a-z]{1,20}){1,4}+(?![^\s,;:.'"()]))
              (?=[^\s]{0,1024}[0-9_!$%^+=/~-])[^\s,;:'"()]{6,} )""",
        rf"\1{MASK}",
    ),
    rule(
        "digest credentials",
        ["digest"],
        r"""\b(digest\s{1,4})
            (?:username|realm|nonce|uri|response|qop|nc|cnonce|opaque|algorithm|userhash|charset)
            =(?:\\{0,16}"[^"\n]*+"?|[^\s,"]*+)
            (?:,\s{0,4}\w{2,20}=(?:\\{0,16}"[^"\n]*+"?|[^\s,"]*+))*+""",
        rf"\1{MASK}",
    ),
    rule(
        "authorization scheme",
        ["bearer", "basic", "digest"],
        # After "basic" and "digest", a lower-case word is not taken for credentials.
        r"""\b(?: (bearer(?:\s{1,4}|(?:%(?:25)*20){1,4}|\+)["']?)(?!(?:auth|realm|tokens?\b|scheme|was\b|not\b|and\b))
            | ((?:basic|digest)(?:\s{1,4}|(?:%(?:25)*20){1,4}|\+)["']?)
                (?=(?-i:[a-z_.~:-]{0,1024}[A-Z0-9+/=]))(?!auth|realm|sha[0-9-]{1,8}\b|md5\b) )[\w+/=.~:-]{3,}+""",
        lambda found: f"{found[1] or found[2]}{MASK}",
    ),
    rule(
        "value of an option",
        ["--", " -"],
        rf"""(-(?<![^\s"'=]-)-?(?=[a-z][\w-]{{0,120}}+[ \t])(?!(?:no|without)-)
                (?P<name>[\w-]{{0,40}}(?:{WORDS}|{SHORT_WORDS})[\w-]{{0,40}}+)[ \t]{{1,4}})
            (?!-|\*\*\*|(?:option|flag|argument|parameter|not|given|set|missing|expired|reset|changed|required|and|or|to|is
                |was|are|as|at|by|for|from|if|in|instead|of|on|via|will|with|must|may|cannot|can|has|needs|requires)\b)
            (?P<value>"[^"\n]*+"?|'[^'\n]*+'?|[^\s"']++)""",
        _without_value,
    ),
    rule(
        "credentials of a command",
        ["-u", "--user", "--proxy-user"],
        r"""((?<!\S)(?:-u\s{0,4}|--(?:proxy-)?user(?:\s{1,4}|=))["']?)[^\s:"'/]{1,80}:[^\s"']++""",
        rf"\1{MASK}",
    ),
    rule(
        "credentials of a call",
        ["auth("],
        r"""((?:basic|digest|ntlm|proxy|kerberos|oauth)[\w]{0,20}(?<=auth)\()[^()]*+""",
        rf"\1{MASK}",
    ),
    # Oracle has no quotes there, or double ones.
    rule(
        "password of a database's account",
        ["identified by"],
        r"""(\b(?:(?:create|alter)\s{1,9}(?:user|role)|grant)\s[^\n;]{1,200}?\sidentified\sby\s{1,9}(?:values\s{1,9})?)
            (?!\*\*\*|\?|'|%s)(?:"[^"\n]*+"?|[^\s;"]++)""",
        rf"\1{MASK}",
    ),
    # By the beginnings and the lengths of the issuers (https://en.wikipedia.org/wiki/Payment_card_number).
    rule(
        "number of a card",
        "23456",
        rf"""[2-6](?<![\w.+-].)(?:
            (?:(?<=4)\d{{3}} | (?<=5)[1-5]\d{{2}} | (?<=2)[2-7]\d{{2}} | (?<=3)5\d{{2}} | (?<=6)(?:011|[245]\d{{2}}))
                (?:{_SPACE}\d{{4}}){{3}}(?:{_SPACE}\d{{3}})?
            | (?<=3)[47]\d{{2}}{_SPACE}\d{{6}}{_SPACE}\d{{5}} | (?<=3)(?:0[0-5]|[68]\d)\d{_SPACE}\d{{6}}{_SPACE}\d{{4}}
            )(?!\w|[.+-]\d)""",
        _without_card,
        re.ASCII,
    ),
    rule(
        "social security number",
        ["ssn", "social"],
        r"""(\b(?:ssn|social[\s_-]security)(?:[\s_-](?:no|number))?[\s.:\#]{0,6}(?:is|was)?\s{0,4})
            [0-9]{3}[\s-]?[0-9]{2}[\s-]?[0-9]{4}(?![0-9])""",
        rf"\1{MASK}",
    ),
    rule("JSON web token", ["eyj"], r"\beyJ[\w-]{8,}+(?:\.[\w-]*+)*+", MASK),
    rule("key of a cloud account", ["akia", "asia"], r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", MASK),
    rule(
        "token of a service",
        [
            *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glsa_", "xox", "_live_", "_test_"),
            *("sk-", "npm_", "pypi-", "hf_", "dop_v1_", "shpat_", "hvs.", "dckr_pat_", "aiza", "whsec_", "sg."),
            *("xapp-", "ya29."),
        ],
        r"""(?<![a-z0-9]) (?: (?:gh[opusr]|glsa|[rs]k_(?:live|test)|npm|hf|dop_v1|shpat)_[a-z0-9]{16,}
            | (?:github_pat|whsec)_\w{16,} | SG\.[\w-]{10,80}\.[\w-]{20,} | xapp-[\w-]{16,}
            | (?:(?:glpat|xox[a-z]|pypi)-|dckr_pat_|aiza|hvs\.|ya29\.)[\w-]{20,}
            | sk-(?=[a-z_-]{0,40}[0-9])[\w-]{20,} )""",
        MASK,
    ),
    rule(
        "address of a webhook",
        ["hooks.slack.com", "/webhooks/", "webhook.office.com"],
        r"((?:hooks\.slack\.com|/webhooks|webhook\.office\.com)/)[\w/@-]++",
        rf"\1{MASK}",
    ),
    # An error of pydantic, https://docs.pydantic.dev/latest/errors/errors/
    rule(
        "input of a validation",
        ["input_value="],
        r"\b(input_value=)(?:[^\n]*(?=,\sinput_type=)|[^\n]*)",
        rf"\1{MASK}",
    ),
    *DATABASE_RULES,
    *SQL_RULES,
    *FOREIGN_RULES,
    # Django's admin and its log entries quote the names of objects so.
    rule(
        "name of an object",
        ["\N{LEFT DOUBLE QUOTATION MARK}", "u201c"],
        r"(“|\\{1,16}u201c)(?:(?!\\{1,16}u201d)[^”])*+(”|\\{1,16}u201d|\Z)",
        rf"\1{MASK}\2",
    ),
    rule(
        "account",
        ["user", "account", "login", "role", "staff", "admin", "logged", "authentication", "sign"],
        rf"""(?=[a-z]){_ACCOUNT}(?:
              ({_ASSIGNED}(?P<open>[\[(]\s{{0,40}}+)?)
                (?(open){_MEMBER}(?:,\s{{0,40}}+{_MEMBER}){{0,20}}(?=,?\s{{0,40}}+(?:[\])]|\Z))|{_VALUE})
            | ({_ACCOUNT_WORDS}{_QUOTE},\s{{0,4}}(?:{_MARK})?value(?:{_MARK})?\s{{0,4}}[:=]\s{{0,4}}
                |(?<=-){_ACCOUNT_WORDS}{_MARK},\s{{0,4}})(?={_QUOTED_VALUE}){_VALUE}
            | (?<![\w?]<)(?<=<)({_ACCOUNT_WORDS}>)[^<\n]++(?=\s*+</)
            | ({_ACCOUNT_WORDS}\s{{1,4}})\\{{0,16}}("[^"\n]*+"?|'[^'\n]*+'?)
            | ((?:for|by|of|from|as|logged\sin\sas){_BLANK}(?:the{_BLANK})?(?:user|account|superuser|login|admin)
                {_BLANK})(?!{_NO_ACCOUNT}|\*|\\{{1,16}}["'])[^\s,;:'"()<>]++
            | (logged\sin\sas{_BLANK}
                |(?:login|authentication|log-?in|sign-?in)\s(?:failed|attempt|denied|refused)\s(?:for|by|of){_BLANK}["']?
                    (?!user\b|this\b|unknown\b|the\b|an?\b))[^\s,;:'"()<>]++
            | ((?:user|account){_BLANK})(?!{_NO_ACCOUNT})[^\s,;:'"()<>]++
                (?=\s(?:logged|signed|failed|authenticated|is\slocked)) )
            | ([\[(]\s{{0,40}}+b?(?:{_MARK})?[\w.-]{{0,40}}?{_ACCOUNT}{_ACCOUNT_WORDS}{_QUOTE},\s{{0,40}}+)
                (?={_QUOTED_VALUE}){_VALUE}(?=,?\s{{0,40}}+(?:[\])]|\Z))""",
        lambda found: f"{next(filter(None, found.groups()))}{MASK}",
    ),
    rule(
        "email",
        ["@", "\N{FULLWIDTH COMMERCIAL AT}", "\N{SMALL COMMERCIAL AT}"],
        # Every character that may belong to the local part is taken as such, even an apostrophe within words. Neither a
        # parameter of a statement ("a=@p1") nor a version is an address.
        r"""(?!/{0,2}\*\*\*@)(?P<local> "(?:[^"\n@\\]|\\.){1,64}" | \\{1,16}"[^"\n@\\]{1,64}\\{1,16}"
                | (?<![^\s"'<>()\[\],;:\\@\uff20\ufe6b])
                (?:[^\s"'<>()\[\],;:\\@\uff20\ufe6b]|(?<=\w)'(?=[\w.]))++ ) [@\uff20\ufe6b]
            (?!(?:(?<=\w=@)p[0-9]{1,3}|[0-9]{1,9}(?:\.[0-9]{1,9}){0,2})(?![\w.-]))
            (?: \[[^\]\s]{1,64}\]? | [^\s"'<>()\[\]{},;:=|&?/\\@]++ )""",
        lambda found: f"{_LABEL.match(found['local'])[0]}{MASK}",  # type: ignore[index]
    ),
    rule(
        "email in escapes",
        ["u0040", "x40", "{40", "{0040", "#64", "064", "x0", "00000040", "\\100", "=40", "commat", "commercial at"],
        rf"""(?<![\w.%+-])(?:[\w.+-]|%(?!(?:25)*u0040)|{_ESCAPED}){{1,256}}+{_AT}(?:[\w.-]|{_ESCAPED}){{1,256}}+""",
        MASK,
    ),
    rule(
        "email in a URL",
        ["%40", "2540"],
        r"(?<![^\s\"'<>=&?/,;])(?=[^\s\"'<>=&?/,;]*%(?:25)*40)[^\s\"'<>=&?/,;]++",
        MASK,
    ),
)


RULES = (*_FIRST, *_BY_NEEDLE)

# From the rarest character of logs to the most frequent; all others are rarer still.
_FREQUENT = "zqjx><][=)(\"\\'k9876543210-,vw:b/_y.gfphmudclrsnioate "


class _Finder:
    """Finds the rules that have a needle in a text: it looks only for those whose rarest character is there."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._needles: dict[str, list[tuple[str, int]]] = {}
        for number, known in enumerate(rules):
            for needle in known.needles:
                self._needles.setdefault(min(needle, key=_FREQUENT.find), []).append((needle, number))

    def rules_for(self, lowered: str) -> list[Rule]:
        """Return the rules for a text in lower case, in their order."""
        found = {
            number
            for character, needles in self._needles.items()
            if character in lowered
            for needle, number in needles
            if needle in lowered
        }
        return [self._rules[number] for number in sorted(found)]


_FIND_FIRST, _FIND = _Finder(_FIRST), _Finder(_BY_NEEDLE)
_FIND_OF_STATEMENTS = _Finder(tuple(each for each in _BY_NEEDLE if each not in SQL_RULES and each.kind != "account"))


def redact_text(text: str, *, statement: bool = False) -> str:
    """Return `text` without the matches of all rules; a `statement` has already lost its literals."""
    text = _redacted(text, statement)
    # In "x\\nBearer abc", the escape would be the beginning of a word, and no blank.
    if "\\" in text and _ESCAPED_BLANK.search(text):
        blanks = _ESCAPED_BLANK.sub(_blank, text.translate(_NO_BLANKS))
        text = _BLANKS.sub(lambda found: _ESCAPES[ord(found[0]) - _FIRST_BLANK], _redacted(blanks, statement))
    return text


def _blank(found: re.Match[str]) -> str:
    return chr(_FIRST_BLANK + _ESCAPES.index(found[0]))


def _redacted(text: str, statement: bool) -> str:
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    lowered = text.lower()
    if _ESCAPE.search(lowered):
        text = _LETTER.sub(_letter, text)
        lowered = text.lower()
    lowered = lowered.replace("\n", " ")
    if not lowered.isascii():
        lowered = _BLANKS.sub(" ", lowered)
    text = _apply(_FIND_FIRST, text, lowered)
    text = without_secrets(text, text.lower() if len(text) != len(lowered) else lowered)
    return without_tokens(_apply(_FIND_OF_STATEMENTS if statement else _FIND, text, lowered))


def _letter(found: re.Match[str]) -> str:
    code = int(found[1] or found[2] or found[3] or found[4], 10 if found[4] else 16)
    return chr(code) if code < 128 and chr(code).isalpha() else found[0]  # noqa: PLR2004


def _apply(finder: _Finder, text: str, lowered: str) -> str:
    for known in finder.rules_for(lowered):
        text = known.pattern.sub(known.replacement, text)
    return text
