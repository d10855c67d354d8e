"""The redactor: texts and attributes without secrets, and within their bounds."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from telemetry.privacy.bounds import (
    ATTRIBUTE_COUNT,
    BODY_BYTES,
    STACK_BYTES,
    TEXT_BYTES,
    TOTAL_BYTES,
    cut,
    cut_middle,
    encodable,
    size,
)
from telemetry.privacy.keys import Policy, policy_of
from telemetry.privacy.rules import MASK, redact_sql, redact_text

DROPPED = "otel.dropped_attributes_count"
"""The attribute that tells how many are missing (https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/)."""

# What is looked at beyond a bound, so that a secret across the cut is seen as a whole.
_SLACK = 1024
# A pattern of the operator sees no more at a time: one that is slow on long texts must not hold up a worker.
_PATTERN_LENGTH = 1024
_LONGEST_KEY = 255
_CLEAN_TEXTS = 1024
_CLEAN_BYTES = TEXT_BYTES
_ROUNDS = 4
_PLAIN = (bool, int, float)
_SEGMENT = re.compile(r"[0-9]{1,10}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_USERINFO = re.compile(r"(?<=://)[^\s/?#]*@")

T = TypeVar("T")


class Redactor:
    """Removes what the rules and the operator's `patterns` know. Never raises, and knows nothing of the signals."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        # Texts without secrets that were seen before: names, messages and statements repeat from request to request.
        self._clean: set[str] = set()
        self._clean_attributes: set[tuple[str, str]] = set()

    def text(self, text: str, limit: int = TEXT_BYTES) -> str:
        """Return free text without secrets, its beginning where it has more than `limit` bytes."""
        if text in self._clean and limit >= _CLEAN_BYTES:
            return text
        seen, length = encodable(text), None
        if len(text) > limit + _SLACK:
            seen, length = encodable(text[: limit + _SLACK]), len(text)
        redacted = self._settled(seen, limit, length, stack=False)
        if redacted == text:
            _remember(self._clean, text, len(text))
        return redacted

    def body(self, text: str) -> str:
        """Return a log record's body without secrets, within its bound."""
        return self.text(text, BODY_BYTES)

    def stack(self, text: str) -> str:
        """Return a stack trace without secrets, its beginning and its end where it is too long."""
        seen, length = encodable(text), None
        if len(text) > 2 * STACK_BYTES + 2 * _SLACK:
            half = STACK_BYTES + _SLACK
            # Two stretches, each redacted for itself; what the cut between them split goes with the slack.
            head, tail = self._redacted(encodable(text[:half])), self._redacted(encodable(text[-half:]))
            seen, length = head[:-_SLACK] + tail[_SLACK:], len(text)
        return self._settled(seen, STACK_BYTES, length, stack=True)

    def attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return `attributes` without secrets and within their bounds; `DROPPED` tells how many are missing."""
        result: dict[str, Any] = {}
        total = 0
        for key, value in attributes.items():
            known = value.__class__ is str and (key, value) in self._clean_attributes
            redacted = value if known else self.value(key, value, attributes)
            if len(key) > _LONGEST_KEY or not key.isascii():
                key = cut(self.text(key), _LONGEST_KEY)  # noqa: PLW2901
            result[key] = redacted
            total += len(key) + (len(redacted) if isinstance(redacted, str) else _length(redacted))
        if len(result) > ATTRIBUTE_COUNT or total * 4 > TOTAL_BYTES:
            return _bounded(result)
        return result

    def value(self, key: str, value: Any, beside: Mapping[str, Any]) -> Any:
        """Return the value of the attribute `key` without secrets; `beside` are all of them."""
        policy = policy_of(key)
        if policy is Policy.HIDE:
            return MASK if value not in (None, "") else value
        if isinstance(value, str):
            keep = policy is Policy.KEEP and len(value) <= TEXT_BYTES and value.isascii()
            redacted = value if keep else self._by_policy(policy, value, beside)
            if redacted == value and policy is not Policy.PATH:  # which depends on the other attributes
                _remember(self._clean_attributes, (key, value), len(key) + len(value))
            return redacted
        return value if value is None or isinstance(value, _PLAIN) else self._other(key, value, beside)

    def _other(self, key: str, value: Any, beside: Mapping[str, Any]) -> Any:
        if isinstance(value, bytes):
            return self._by_policy(policy_of(key), value.decode(errors="replace"), beside)
        if isinstance(value, Mapping):
            return self.attributes({str(name): inner for name, inner in value.items()})
        if isinstance(value, Sequence):
            return [self.value(key, inner, beside) for inner in value[:ATTRIBUTE_COUNT]]
        return self.text(str(value))

    def _by_policy(self, policy: Policy, value: str, beside: Mapping[str, Any]) -> str:
        if policy is Policy.TEXT:
            return self.text(value)
        if policy is Policy.KEEP:
            return cut(encodable(value), TEXT_BYTES)
        if policy is Policy.STACK:
            return self.stack(value)
        if policy is Policy.SQL:
            return self.text(redact_sql(value[: TEXT_BYTES + _SLACK]))
        if policy is Policy.PATH:
            return _path(value, str(beside.get("http.route", "")))
        bare, mark, _ = _USERINFO.sub(f"{MASK}@", value[: TEXT_BYTES + _SLACK]).partition("?")
        return self.text(f"{bare}?{MASK}" if mark else bare)

    def _settled(self, text: str, limit: int, length: int | None, *, stack: bool) -> str:
        redacted = self._redacted(text)
        if length is not None and not stack:
            redacted = redacted[: max(0, len(redacted) - _SLACK)]
        shorten = cut_middle if stack else cut
        result = shorten(redacted, limit, length)
        # A replacement or a cut can bring together what a rule knows.
        for _ in range(_ROUNDS):
            if result == text:
                break
            text, result = result, shorten(self._redacted(result), limit)
        return result

    def _redacted(self, text: str) -> str:
        text = redact_text(text)
        if not self._patterns:
            return text
        if len(text) <= _PATTERN_LENGTH:
            return self._by_patterns(text)
        pieces = [
            line[start : start + _PATTERN_LENGTH]
            for line in text.splitlines(keepends=True)
            for start in range(0, len(line), _PATTERN_LENGTH)
        ]
        return "".join(map(self._by_patterns, pieces))

    def _by_patterns(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text


def _remember(known: set[T], new: T, length: int) -> None:
    if length * 4 <= _CLEAN_BYTES:
        if len(known) >= _CLEAN_TEXTS:
            known.clear()
        known.add(new)


@lru_cache(maxsize=256)
def _fixed(route: str) -> frozenset[str]:
    return frozenset(route.split("/"))


def _path(path: str, route: str) -> str:
    """Return the path as far as the route has it: clients may put anything into the rest, or ask for anything."""
    fixed = _fixed(route)
    segments = path[: TEXT_BYTES // 4].partition("?")[0].split("/")
    kept = [segment if segment in fixed or _SEGMENT.fullmatch(segment) else segment and MASK for segment in segments]
    return cut(encodable("/".join(kept)), TEXT_BYTES)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + _length(inner) for key, inner in value.items())
    if isinstance(value, list):
        return sum(map(_length, value))
    return 8


def _bytes(value: Any) -> int:
    return size(value) if isinstance(value, str) else _length(value) * (1 if isinstance(value, _PLAIN) else 4)


def _bounded(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return as many of `attributes`, which are redacted, as the bounds allow."""
    result: dict[str, Any] = {}
    left = TOTAL_BYTES - len(DROPPED) - 8
    for key, value in attributes.items():
        needed = size(key) + _bytes(value)
        if len(result) < ATTRIBUTE_COUNT - 1 and needed <= left and key != DROPPED:
            result[key] = value
            left -= needed
    dropped = len(attributes) - len(result) - (DROPPED in attributes) + int(attributes.get(DROPPED, 0))
    return {**result, DROPPED: dropped} if dropped else result
