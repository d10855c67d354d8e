"""Secrets with a name: an expression finds the name, and the value's own syntax determines its end.

Names and values may be in the syntax of Python, JSON, JSON within JSON, pairs, forms, XML, headers and options, with
quotes, brackets and separators in any of the usual escapes. `telemetry.privacy.names` defines the names.
"""

import re
import sys
from functools import cache

from telemetry.privacy.names import BEGINNINGS, SHORT_WORDS, WORDS, is_count

_MASK = "***"

# After a blank, only words that continue a name.
_SUFFIX = r"""[\w-]{0,200}+ (?:\.(?:id|key|value|hash|code|number|data|name|token|secret)\b)*+
    (?: (?:(?<=password)|(?<=passwords)|(?<=secret)|(?<=secrets)|(?<=credentials)) \.[\w.-]{1,80}+
        (?=\\{0,16}["']\s{0,4}:|\s{0,4}=(?!=)) )?+
    (?:\s(?:id|key|number|no|code|value|hash|token)\b)? (?<!Error)(?<!Exception)(?<!Warning)"""
_BLANKS = r"\s{0,40}+"
_ANY_QUOTE = r"""(?: \\{0,16}b?["'] | &(?:amp;)*(?:quot|apos|\#0?3[49]|\#x2[27]); | %(?:25)*2[27] )"""
# "<" and ">" in HTML, URLs and JSON.
_ESCAPED_MARK = r"(?: &(?:amp;)*(?:{0}|\#{1}|\#x{2}); | %(?:25)*{2} | \\{{1,16}}(?:u00|x){2} )"
_ESCAPED_LEFT, _ESCAPED_RIGHT = _ESCAPED_MARK.format("lt", "60", "3c"), _ESCAPED_MARK.format("gt", "62", "3e")
# A quote, a bracket, or white space, plain or escaped; `%` may itself be escaped, and backslashes double.
_BEHIND_NAME = r"""(?: \\{0,16}["'\])] | &(?:amp;)*(?:quot|apos|\#0?3[49]|\#x2[27]); | %(?:25)*(?:2[27]|5D)
    | %(?:25)*5B[\w-]{0,80}(?=%(?:25)*5D) | \[(?=\])
    | \[ (?:\\{0,16}["'])? [\w.-]{1,80}+ (?:\\{0,16}["'])? (?=\]\s{0,4}(?:=(?!=)|:\s{0,4}["'\[{]))
    | \\{1,16}(?:u00|x)2[27] ){0,4}"""
# The last five: pairs, arguments and fields of HTML forms, an XML element without and with attributes, and a next one.
_SEPARATOR = rf"""(?: => | -> | := | == | = | (?: [+?|] | \|\| | \?\? )= | :
    | (?: <> | !==? ) (?= \s{{0,4}} (?: "(?!") | '(?!') ) )
    | \N{{FULLWIDTH EQUALS SIGN}} | \N{{FULLWIDTH COLON}} | %(?:25)*3[AD]
    | &(?:amp;)*\#(?:61|58|x3[ad]); | \\{{1,16}}(?:u00|x)3[ad]
    | (?: , | %(?:25)*2C ) (?= (?:\s|\+|%(?:25)*20){{0,4}} {_ANY_QUOTE} ) (?:\+|%(?:25)*20){{0,4}}
    | (?: , \s{{0,4}} | (?<=\s) )
        (?: (?!value\b) [\w-]{{1,30}}=(?:"[^"<>\n]{{0,80}}"|'[^'<>\n]{{0,80}}'|[\w-]{{0,40}})[\s,]\s{{0,4}} ){{0,4}}
        (?:value|content)\s?[=:]
    | (?<=[\w"'-]) > | (?<=\s) [\w:-]{{1,40}}=["'][^<>]{{0,200}}> | {_ESCAPED_RIGHT}
    | </[\w:-]{{1,40}}> \s{{0,40}} <(?:value|string|data|content)\b[^<>]{{0,80}}> )"""

_NAME = rf"""(?P<word> (?: (?: {WORDS} ) | {SHORT_WORDS} ) {_SUFFIX} )
        (?: {_BEHIND_NAME} {_BLANKS} {_SEPARATOR} {_BLANKS} (?:\\{{1,16}}[nrt]|\\\r?\n\s{{0,40}}){{0,2}}
          | ["'] \s{{0,2}} (?:;[^\n]{{0,80}})? \r?\n (?:[\w-]{{1,40}}:[^\n]{{0,80}}\n){{0,3}} \r?\n )"""
"""A secret's name with everything between it and its value; the last line is for multipart forms."""
# A name with a value contains one of these.
_ANY_SEPARATOR = re.compile(r"[=:>,%&\\\uff1d\uff1a]|[\"'][^\n]{0,100}\n")
# ASCII only, as `lower()` turns some characters into two.
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_HEADER = re.compile(r"authorization|cookie", re.IGNORECASE)
_PASSPHRASE = re.compile(r"pass(?:word|wd|code|phrase)|pwd|secret", re.IGNORECASE)
# A key of YAML, on a line of its own below another key.
_OTHER_KEY = r"[^\s:]{1,40}\s?:\s"
# An authentication scheme, or an anchor of YAML.
_SCHEME = re.compile(
    rf"(?:bearer|basic|digest|token|negotiate)\s+(?=\S)|&[\w-]{{1,80}}\s++(?<!\n)(?!{_OTHER_KEY})", re.IGNORECASE
)
_QUOTE = re.compile(
    r"""[bBrRuUfF]{0,2}(\\*)(["'])|(&(?:amp;)*(?:quot|apos|\#0?3[49]|\#x2[27]);|%(?:25)*2[27]|\\+(?:u00|x)2[27])""",
    re.IGNORECASE,
)
# In the `repr()` of JSON, a quote within a text has two backslashes: what follows says whether it ends the text.
_PLAIN_REST = {
    '"': re.compile(
        r"""(?: [^"\\] | \\(?:.|\Z) | ""
            | (?<=\\\\)"(?!\s{0,40}(?:[\])}'";&<]|\Z|,\s{0,40}(?:["'\[{(0-9-]|(?:true|false|null|none)\b)))
            )*+ (?:"|\Z)""",
        re.DOTALL | re.IGNORECASE | re.VERBOSE,
    )
}
_PLAIN_REST["'"] = re.compile(r"(?:[^'\\]|\\(?:.|\Z)|'')*+(?:'|\Z)", re.DOTALL)
_BACKSLASH_AT_END = re.compile(r"(?:\\|%(?:25)*5C)\Z", re.IGNORECASE)
_LONGEST_BACKSLASH = 32
_BRACKET = re.compile(r"""[\[({]|[\])}]|\\*["']""")
_BARE = re.compile(r"[^\s&]+")
_CONTINUED = re.compile(r"(?:(?<=\\)\r?\n[ \t]*+[^\s&]+)*+")
# The `repr()` of an object.
_OBJECT = re.compile(r"<[^<>\n]{0,1024}>")
_ESCAPED_TAG = re.compile(_ESCAPED_RIGHT + r"\Z", re.IGNORECASE | re.VERBOSE)
_ESCAPED_ELEMENT = re.compile(rf"(?:[^&%\\]|(?!{_ESCAPED_LEFT}).)*+", re.DOTALL | re.IGNORECASE | re.VERBOSE)
_LONGEST_ELEMENT = 2048
_ELEMENT = re.compile(r"(?:[^<]++|<!\[CDATA\[.*?(?:\]\]>|\Z))*+", re.DOTALL)
# A header continues on lines that begin with a blank.
_LINE = re.compile(r"[^\n]*(?:\n[ \t]+[^\n]*)*+")
# The anchor and the tag of a value of YAML, and a block scalar.
_PROPERTIES = re.compile(r"(?:[&!][\w!:/.-]{0,80}+[ \t]++)*+")
_BLOCK = re.compile(r"[|>][+-]?[0-9]?[ \t]*\r?\n(?:[ \t]+[^\n]*(?:\n|\Z)|[ \t]*\n)*+")
# A comment of YAML, and the value on the next line.
_COMMENT = re.compile(rf"#[^\n]*(?:\n[ \t]++(?!{_OTHER_KEY})[^\n]*)?")
# The rest of a card's or an insurance number, a one-time code, and an IBAN, in groups.
_IN_GROUPS = re.compile(r"card|cc[_-]?num|ssn|social|(?:otp|mfa|code)[\w\s\"']*:\Z", re.IGNORECASE)
_LONGEST_GROUP = 7
_MORE_DIGITS = re.compile(r"(?:[ \t\xa0\u202f]+[0-9]{2,7}(?![\w.:/-]))*+")
_IBAN, _IBAN_LENGTH = re.compile(r"[A-Z]{2}[0-9]{2}"), 4
_MORE_OF_IBAN = re.compile(r"(?:[ \t\xa0\u202f]+[0-9A-Z]{1,4}(?![\w.:/-]))*+")
# A key of YAML at the beginning of its line, the list or mapping below it, and a mapping of numbers.
_KEY_OF_YAML = re.compile(r"([ \t]*+)(?:-[ \t]++)?[\"'\w.-]*+")
_LONGEST_KEY = 200
_BELOW = re.compile(r"\n([ \t]*+)(-[ \t])?")
_NUMBERS = re.compile(r"(?:[\w\"'. \t-]{1,80}+:[ \t]*+[0-9]{1,9}\s*+)++")
_CALL = re.compile(r"[\w.]{0,80}(?=[\[({])")
_KEY = re.compile(r"\s{0,4}:|%(?:25)*3A|(?:%(?:25)*20|\+)%(?:25)*3A", re.IGNORECASE)
# Values that are not secret under any name.
_HARMLESS = re.compile(r"(?:true|false|none|null)(?=[ \t]*(?:[,;)\]}&\n]|\Z))", re.IGNORECASE)
# Of source code, as in "unexpected token: '}'".
_PUNCTUATION = re.compile(r"""(["'`])[^\w\s"'`\\]{1,3}\1(?![^\s,;.)\]}])""")
_NUMBER = re.compile(r"[0-9]{1,9}(?![\w-]|\.[0-9])")
# The rest of a value that contains blanks, up to the end of its line or the next name with a value.
_MORE_WORDS = re.compile(r"""(?:[ \t]+(?![\w.-]{1,40}["']?\s?[=:])[^\s&]+)*+""")
# A source line in a stack trace may contain an unclosed quote or bracket, which must not hide the rest of the trace.
_NEXT_FRAME = re.compile(
    r"""\n(?=[ |]*File\s"[^"\n]*",\sline\s[0-9]|[A-Za-z_][\w.]{0,200}:\s
    |[A-Za-z_][\w.]{0,200}(?:Error|Exception|Exit|Interrupt|Warning)(?:\n|\Z)|(?:The\sabove|During\shandling)\s)""",
    re.VERBOSE,
)
_PAIR = re.compile(r"(?:,|%(?:25)*2C(?:\+|%(?:25)*20)*)\Z", re.IGNORECASE)
_DONE = re.compile(r"""[\[({]*\*\*\*(?=[\s,;&"')\]}<]|\Z)""")


@cache
def _compiled_name() -> re.Pattern[str]:
    """Return the expression for a name, compiled for the first text with one: most processes never see any."""
    return re.compile(_NAME, re.IGNORECASE | re.VERBOSE)


def without_secrets(text: str, lowered: str) -> str:
    """Return `text` with a mask for the value of each name of a secret; `lowered` is `text.lower()`."""
    if not _ANY_SEPARATOR.search(text):
        return text
    if len(lowered) != len(text):
        lowered = text.translate(_LOWER)
    result: list[str] = []
    position = limit = 0
    for start in _beginnings(lowered):
        if start < position:  # within a masked value
            continue
        name = _compiled_name().match(text, start)
        if name is None or name.end() >= len(text) or _DONE.match(text, name.end()) or _is_harmless(text, name):
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
    """Return the positions at which a name may begin, in order."""
    found = []
    for word in BEGINNINGS:
        start = lowered.find(word)
        while start >= 0:
            found.append(start)
            start = lowered.find(word, start + len(word))
    return sorted(found) if found[1:] else found


def _is_harmless(text: str, name: re.Match[str]) -> bool:
    number = _NUMBER.match(text, name.end())
    if number:
        return is_count(name["word"], int(number[0]))
    is_token = name["word"].lower() == "token"
    return bool(_HARMLESS.match(text, name.end()) or (is_token and _PUNCTUATION.match(text, name.end())))


def _end_of_value(text: str, name: re.Match[str], limit: int) -> int:  # noqa: PLR0911  (one for each kind of value)
    start, found = name.end(), name[0].rstrip()
    if found.endswith(":") and (end := _end_below(text, name, limit)) != start:
        return end
    if (found.endswith(">") and not found.endswith(("=>", "->", "<>"))) or _ESCAPED_TAG.search(found):
        return _end_of_element(text, name, limit)
    quote = _QUOTE.match(text, start)
    if quote:
        end = _end_of_quoted(text, quote, limit)
        # The name is itself a value, as in `{"name": "password", "value": ...}`, so the next name is not the secret.
        return _end_of_brackets(text, end, limit, 1) if _PAIR.search(found) and _KEY.match(text, end) else end
    if text[start] in "[({":
        return _end_of_brackets(text, start, limit)
    if found.endswith(":") and _BLOCK.match(text, block := _end(_PROPERTIES, text, start)):
        return _end(_BLOCK, text, block, limit)
    if name[0].endswith("\n") or (_HEADER.search(found) and not found.endswith(",")):
        return _end(_LINE, text, start, limit)
    if found.endswith(":") and text[start] == "#":
        return _end(_COMMENT, text, start, limit)
    scheme = _SCHEME.match(text, start)
    end = scheme.end() if scheme else _end(_OBJECT, text, start)
    while call := _CALL.match(text, end):  # a call may contain blanks
        end = _end_of_brackets(text, call.end(), limit)
    end = _end(_CONTINUED, text, _end(_BARE, text, end))
    end = _end_of_groups(text, start, end, found)
    if found.endswith(":") and _PASSPHRASE.search(found):
        return _end(_MORE_WORDS, text, end)
    return end


def _end_of_element(text: str, name: re.Match[str], limit: int) -> int:
    """Return the end of what is in an XML element: a text, or further elements."""
    start = name.end()
    if not name[0].rstrip().endswith(">"):
        return _end(_ESCAPED_ELEMENT, text, start, limit)
    if text[start] == "<" and not text.startswith("<!", start):
        end = re.compile(rf"</[\w:.-]{{0,80}}{re.escape(name['word'])}\s*>")
        found = end.search(text, start, min(limit, start + _LONGEST_ELEMENT))
        return found.start() if found else start
    return _end(_ELEMENT, text, start)


def _end_of_groups(text: str, start: int, end: int, name: str) -> int:
    """Return the end of a number in groups whose first one ends at `end`."""
    if "iban" in name.lower() and _IBAN.match(text, start) and end - start == _IBAN_LENGTH:
        return _end(_MORE_OF_IBAN, text, end)
    is_group = end - start <= _LONGEST_GROUP and text[start:end].isdigit()
    return _end(_MORE_DIGITS, text, end) if is_group and _IN_GROUPS.search(name) else end


def _end_below(text: str, name: re.Match[str], limit: int) -> int:
    """Return the end of the list or mapping of YAML below a key, or the end of `name` without one.

    For a mapping of counts it is the beginning of `name`.
    """
    start, nothing = name.start(), name.end()
    before = max(0, start - _LONGEST_KEY)
    line = text.rfind("\n", before, start)
    below = _BELOW.match(text, text.rfind("\n", start, nothing)) if "\n" in name[0] else None
    key = _KEY_OF_YAML.fullmatch(text, line + 1, start) if line >= 0 or not before else None
    if not key or not below or not (below[2] or len(below[1]) > len(key[1])):
        return nothing
    indent = below[1]
    end = text.find("\n", nothing, limit)
    while end >= 0 and text.startswith(indent, end + 1):
        behind = text[end + 1 + len(indent) : end + 2 + len(indent)]
        if behind in ("", "\n") or (below[2] and behind not in " \t-"):
            break
        end = text.find("\n", end + 1, limit)
    end = limit if end < 0 else end
    counts = not below[2] and name["word"].lower().endswith("tokens") and _NUMBERS.fullmatch(text, nothing, end)
    return start if counts else end


def _end_of_quoted(text: str, quote: re.Match[str], limit: int) -> int:
    backslashes, mark, escaped = quote.groups()
    if mark and not backslashes:
        return _end(_PLAIN_REST[mark], text, quote.end(), limit)
    # Within another text: the closing quote has as many backslashes as the opening one.
    closing = escaped or backslashes + mark
    position = quote.end()
    while (found := text.find(closing, position, limit)) >= 0:
        if not _BACKSLASH_AT_END.search(text, max(position, found - _LONGEST_BACKSLASH), found):
            return found + len(closing)
        position = found + 1
    return limit


def _end_of_brackets(text: str, start: int, limit: int, depth: int = 0) -> int:
    """Return the end of the bracket at `start`, or `limit`; with a `depth`, the position before an outer one closes."""
    position, inside = start, depth
    while found := _BRACKET.search(text, position, limit):
        position = found.end()
        if found[0] in "[({":
            depth += 1
        elif found[0] in "])}":
            depth -= 1
            if depth <= 0:
                return position - bool(inside)
        else:
            quote = _QUOTE.match(text, found.start())
            position = _end_of_quoted(text, quote, limit) if quote else position
    return limit


def _end(pattern: re.Pattern[str], text: str, start: int, limit: int = sys.maxsize) -> int:
    found = pattern.match(text, start, limit)
    return found.end() if found else start
