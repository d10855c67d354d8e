"""Secrets that have a name: the name is found by an expression, the end of its value by the value's own syntax.

Names and values come as Python and JSON write them, JSON inside JSON, as pairs, forms, XML, headers and options, with
quotes, brackets and separators in any of the usual escapes.
"""

import re
import sys

_MASK = "***"

_WORDS = r"""pass(?:word|wd|code|phrase)s? | pwd | secrets? | tokens? | jwt | csrf | xsrf | session(?:id|key|data)?
    | (?:api|access|private|signing|encryption|auth)[_-]?keys? | credentials? | (?:otp|mfa)(?:[_-]?code)?
    | signature | card[_-]?(?:number|no) | social[_-]?security | authorization | cookies?"""
# Short enough to be a part of other words, so they stand alone.
_SHORT_WORDS = r"(?<![a-z]) (?: pass | sid | ssn | pin | cvv | cvc | iban )"
_SUFFIX = r"[\w-]{0,40}+ (?<!Error)(?<!Exception)(?<!Warning)"
_SHORT_SUFFIX = r"[_-]?[0-9]{0,4}(?![a-z0-9_])"
# A quote, a bracket, or white space, plain or escaped; `%` may itself be escaped, and backslashes double.
_BEHIND_NAME = r"""(?: \\{0,16}["'\])] | &(?:amp;)*(?:quot|apos|\#0?3[49]|\#x2[27]); | %(?:25)*(?:2[27]|5D)
    | %(?:25)*5B(?=%(?:25)*5D) | \[(?=\]) | \\{1,16}(?:u00|x)2[27] ){0,4}"""
_SEPARATOR = r"""(?: => | := | == | = | : | %(?:25)*3[AD] | &(?:amp;)*\#(?:61|58|x3[ad]); | \\{1,16}(?:u00|x)3[ad]
    | , (?= \s{0,4} \\{0,16} b?["'] ) | (?<=[\w"'-]) > )"""

_NAME = re.compile(
    rf"""(?: (?: {_WORDS} ) {_SUFFIX} | {_SHORT_WORDS} {_SHORT_SUFFIX} )
        (?: {_BEHIND_NAME} \s{{0,4}} {_SEPARATOR} \s{{0,4}} (?:\\{{1,16}}[nrt]){{0,2}}
          | ["'] \s{{0,2}} (?:;[^\n]{{0,80}})? \r?\n (?:[\w-]{{1,40}}:[^\n]{{0,80}}\n){{0,3}} \r?\n )""",
    re.IGNORECASE | re.VERBOSE,
)
"""A secret's name with everything between it and its value; the last line is for multipart forms."""
_BEGINNINGS = (
    *("pass", "pwd", "secret", "token", "jwt", "csrf", "xsrf", "session", "api", "access", "private", "signing"),
    *("encryption", "auth", "credential", "otp", "mfa", "signature", "card", "social", "cookie"),
    *("sid", "ssn", "pin", "cvv", "cvc", "iban"),
)
# Nothing is a name with a value without one of these.
_ANY_SEPARATOR = re.compile(r"[=:>,%&\\]|[\"'][^\n]{0,100}\n")
# `lower()` makes two characters of some.
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_HEADER = re.compile(r"authorization|cookie", re.IGNORECASE)
_PASSPHRASE = re.compile(r"pass(?:word|wd|code|phrase)|pwd|secret", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|digest|token|negotiate)\s+(?=\S)", re.IGNORECASE)
_QUOTE = re.compile(
    r"""[bBrRuUfF]{0,2}(\\*)(["'])|(&(?:amp;)*(?:quot|apos|\#0?3[49]|\#x2[27]);|%(?:25)*2[27]|\\+(?:u00|x)2[27])""",
    re.IGNORECASE,
)
_PLAIN_REST = {'"': re.compile(r'(?:[^"\\]|\\.|"")*+(?:"|\Z)', re.DOTALL)}
_PLAIN_REST["'"] = re.compile(r"(?:[^'\\]|\\.|'')*+(?:'|\Z)", re.DOTALL)
_BACKSLASH_AT_END = re.compile(r"(?:\\|%(?:25)*5C)\Z", re.IGNORECASE)
_LONGEST_BACKSLASH = 32
_BRACKET = re.compile(r"""[\[({]|[\])}]|\\*["']""")
_BARE = re.compile(r"[^\s&]+")
_ELEMENT = re.compile(r"[^<]*")
_LINE = re.compile(r"[^\n]*")
# The rest of a value with blanks in it: up to the end of its line, or the next name with a value.
_MORE_WORDS = re.compile(r"""(?:[ \t]+(?![\w.-]{1,40}["']?\s?[=:])[^\s&]+)*+""")
# A source line of a stack trace may open what it does not close; the trace goes on.
_NEXT_FRAME = re.compile(
    r"""\n(?=[ |]*File\s"[^"\n]*",\sline\s[0-9]|[A-Za-z_][\w.]{0,200}:\s
    |[A-Za-z_][\w.]{0,200}(?:Error|Exception|Exit|Interrupt|Warning)(?:\n|\Z)|(?:The\sabove|During\shandling)\s)""",
    re.VERBOSE,
)
_DONE = re.compile(r"""[\[({]*\*\*\*(?=[\s,;&"')\]}<]|\Z)""")


def without_secrets(text: str, lowered: str) -> str:
    """Return `text` with a mask for the value of each name of a secret; `lowered` is `text.lower()`."""
    if not _ANY_SEPARATOR.search(text):
        return text
    if len(lowered) != len(text):
        lowered = text.translate(_LOWER)
    result: list[str] = []
    position = limit = 0
    for start in _beginnings(lowered):
        if start < position:  # inside of a value that is masked
            continue
        name = _NAME.match(text, start)
        if name is None or name.end() >= len(text) or _DONE.match(text, name.end()):
            continue
        if name.end() >= limit:
            frame = _NEXT_FRAME.search(text, name.end())
            limit = frame.start() if frame else len(text)
        end = _end_of_value(text, name, limit)
        if end > name.end():
            result += text[position : name.end()], _MASK
            position = end
    return "".join([*result, text[position:]]) if result else text


def _beginnings(lowered: str) -> list[int]:
    """Return where a name may begin, in order."""
    found = []
    for word in _BEGINNINGS:
        start = lowered.find(word)
        while start >= 0:
            found.append(start)
            start = lowered.find(word, start + len(word))
    return sorted(found) if found[1:] else found


def _end_of_value(text: str, name: re.Match[str], limit: int) -> int:
    start, found = name.end(), name[0].rstrip()
    quote = _QUOTE.match(text, start)
    if quote:
        return _end_of_quoted(text, quote, limit)
    if text[start] in "[({":
        return _end_of_brackets(text, start, limit)
    if found.endswith(">"):
        return _end(_ELEMENT, text, start)
    if name[0].endswith("\n") or (_HEADER.search(found) and not found.endswith(",")):
        return _end(_LINE, text, start)
    scheme = _SCHEME.match(text, start)
    end = _end(_BARE, text, scheme.end() if scheme else start)
    if found.endswith(":") and _PASSPHRASE.search(found):
        return _end(_MORE_WORDS, text, end)
    return end


def _end_of_quoted(text: str, quote: re.Match[str], limit: int) -> int:
    backslashes, mark, escaped = quote.groups()
    if mark and not backslashes:
        return _end(_PLAIN_REST[mark], text, quote.end(), limit)
    # Inside of another text: the same quote ends it that began it, with as many backslashes.
    closing = escaped or backslashes + mark
    position = quote.end()
    while (found := text.find(closing, position, limit)) >= 0:
        if not _BACKSLASH_AT_END.search(text, max(position, found - _LONGEST_BACKSLASH), found):
            return found + len(closing)
        position = found + 1
    return limit


def _end_of_brackets(text: str, start: int, limit: int) -> int:
    """Return where the bracket at `start` is closed, `limit` where it is not."""
    depth, position = 0, start
    while found := _BRACKET.search(text, position, limit):
        position = found.end()
        if found[0] in "[({":
            depth += 1
        elif found[0] in "])}":
            depth -= 1
            if depth <= 0:
                return position
        else:
            quote = _QUOTE.match(text, found.start())
            position = _end_of_quoted(text, quote, limit) if quote else position
    return limit


def _end(pattern: re.Pattern[str], text: str, start: int, limit: int = sys.maxsize) -> int:
    found = pattern.match(text, start, limit)
    return found.end() if found else start
