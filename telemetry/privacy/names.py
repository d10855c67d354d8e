"""The names of secrets: one vocabulary for attributes, and for names with a value in texts.

A name may have any prefix and suffix, such as `new_password1`, `X-Auth-Token` and `userPin`. Words that occur in others
(`pin` in "spinner") count only on their own: between separators, or as a word in camel case.
"""

import re
from functools import lru_cache

_BETWEEN = r"[\s_.-]"
# "Key" and "code" name a secret only after these words: not in "primary key" or "status code".
_OF_KEYS = """
    api access private secret signing signature encryption decryption auth authentication master account
    subscription consumer license shared ssh deploy security service storage hmac aes rsa client admin
    root session
"""
_OF_CODES = """
    otp mfa totp 2fa factor verification reset recovery security auth authorization access invite backup
    time sms activation confirmation card login
"""


def _behind(words: str) -> str:
    return "(?:" + "|".join(rf"(?<={word})|(?<={word}{_BETWEEN})" for word in words.split()) + ")"


WORDS = rf"""pass(?:word|wd|code|phrase|wort)s? | pwd | p(?:as)?swd | secrets?(?!ar[iy])
    | token(?!i[sz](?:e[drs]?|ers|ing|ation)(?![\w-]))s? | jwt | csrf | xsrf
    | session(?:id|key|data)?(?!_(?:engine|serializer)\b) | sess{_BETWEEN}?id | credentials?
    | signature | social{_BETWEEN}?security | authorization | cookies? | bearer(?!\s{{0,9}}[\w*]) | verifier
    | (?=key) {_behind(_OF_KEYS)} keys? | (?=code) {_behind(_OF_CODES)} codes?
    | (?:(?<=credit)|(?<=debit)|(?<=credit{_BETWEEN})|(?<=debit{_BETWEEN})) card
    | (?<![a-z]) cc[_-]?num(?:ber)? | card{_BETWEEN}?(?:num(?:ber)? | n[or](?![a-z]) | cv[cv] | pin | pan)
    | (?<!by)(?<!com)(?<!over)(?<!under)(?<!sur)(?<!tres) pass(?![a-z])
    | (?:(?<=x[_-])|(?<=basic[_-])) auth(?![a-z]) | auth(?=\s?=\s?\() | auth[_-]?(?:header|string)"""
"""Words that occur in no other word."""
_ALONE = "pass sid ssn pin cvv cvc iban otp totp mfa pw psw sess"
# Also after an escape that ends with a letter, as in "%5Bpin%5D".
_LEFT = r"""(?: (?<![a-z]) | (?-i:(?<=[a-z0-9])(?=[A-Z]))
    | (?<=%[0-9a-f][a-f]) | (?<=u00[0-7][a-f]) | (?<=\\x[0-7][a-f]) )"""
_RIGHT = r"(?:(?![a-z])|(?-i:(?<=[a-z])(?=[A-Z])))"
SHORT_WORDS = rf"{_LEFT} (?: {'|'.join(_ALONE.split())} ) {_RIGHT}"
"""Words that count only on their own."""
BEGINNINGS = (
    *("pass", "pwd", "pswd", "secret", "token", "jwt", "csrf", "xsrf", "sess", "credential", "signature", "social"),
    *("cookie", "bearer", "verifier", "key", "code", "card", "ccnum", "cc_num", "cc-num", "auth", *_ALONE.split()[1:]),
)
"""The beginnings of all these words, in lower case."""

_SECRET = re.compile(f"{WORDS} | {SHORT_WORDS}", re.IGNORECASE | re.VERBOSE)
_COUNTED = re.compile(
    r"""(?:tokens|sessions|cookies|secrets|credentials|passwords|keys|codes
        |validators|hashers|expires?_?in|lifetime
        |count|total|length|len|size|limit|ttl|age|timeout|seconds|rounds|retries|attempts)\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_MOST_COUNTED = 9_999_999
# "Pass" as opposed to "fail", and the version of a secret, which few digits are.
_SMALL = re.compile(r"pass|.*(?<!pin)(?<!otp)[\s_.-]version", re.IGNORECASE | re.DOTALL)
_MOST_SMALL = 999
# Of a name, what these expressions look at.
_LONGEST_END = 32


@lru_cache(maxsize=2048)
def is_secret(name: str) -> bool:
    """Return whether `name` is that of a secret."""
    return _SECRET.search(name) is not None


def is_count(name: str, value: int) -> bool:
    """Return whether `value` is a count or a size, although its `name` is that of a secret."""
    end = name[-_LONGEST_END:]
    if _SMALL.fullmatch(end):
        return 0 <= value <= _MOST_SMALL
    return 0 <= value <= _MOST_COUNTED and _COUNTED.search(end) is not None
