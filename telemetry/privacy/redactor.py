"""The redactor: removes secrets from texts and attributes, and limits their size."""

import re
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from telemetry.privacy import strict as safe
from telemetry.privacy.bounds import (
    BODY_BYTES,
    LONGEST_KEY,
    STACK_BYTES,
    STACK_CHARACTERS,
    TEXT_BYTES,
    Items,
    bounded,
    cut,
    cut_middle,
    encodable,
    fits,
    length_of,
    shortened,
)
from telemetry.privacy.keys import Policy, policy_of
from telemetry.privacy.names import is_count, is_secret
from telemetry.privacy.rule import MASK
from telemetry.privacy.rules import redact_text
from telemetry.privacy.sql import is_known, without_literals
from telemetry.privacy.values import number_of, shown_path, text_of

# Characters redacted beyond a limit, so that a secret across the cut is recognised as a whole.
_SLACK = 1024
# The longest text for one match of an operator's pattern, which may be slow on long texts and must not block a worker.
_PATTERN_LENGTH = 1024
_CLEAN_TEXTS = 1024
_CLEAN_BYTES = TEXT_BYTES
_ROUNDS = 4
_USERINFO = re.compile(r"(?<=://)[^\s/?#]*@")

# Members of a mapping that contain the name of another member.
_NAMING = frozenset({"name", "key", "field", "header", "param", "parameter", "option", "loc", "attribute", "variable"})
_SCHEMES = frozenset({"bearer", "basic", "digest"})

T = TypeVar("T")


class Redactor:
    """Removes the matches of the rules and the operator's `patterns`, or with `strict` everything that may be data.

    No method raises for values of OpenTelemetry or `extra=`. One object serves all threads of a process.
    """

    def __init__(self, patterns: Sequence[str] = (), *, strict: bool = False) -> None:
        self.strict = strict
        self._patterns = [re.compile(pattern) for pattern in patterns]
        # A cache of texts without secrets: names, messages and statements recur from request to request.
        self._clean: set[str] = set()
        self._clean_attributes: set[tuple[str, str]] = set()
        self._clean_statements: set[tuple[str, str]] = set()
        # A redactor that uses only the rules, at both levels.
        self._free = Redactor(patterns) if strict else self

    # --- What is exported: both levels ------------------------------------------------------------------------------

    def attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return attributes of a span, an event, a link or a log record, redacted and within the limits.

        The attribute `DROPPED` is the number of those beyond the limits.
        """
        if self.strict:
            attributes = safe.allowed(attributes)
        result: dict[str, Any] = {}
        total = 0
        for key, value in attributes.items():
            if key.__class__ is not str:
                key = text_of(key)  # noqa: PLW2901
            known = value.__class__ is str and (key, value) in self._clean_attributes
            redacted = value if known else self.value(key, value, attributes)
            if key not in self._clean:
                key = cut(self.text(key), LONGEST_KEY)  # noqa: PLW2901
            result[key] = redacted
            total += len(key) + (len(redacted) if isinstance(redacted, str) else length_of(redacted))
        return result if fits(len(result), total) else bounded(result)

    def resource(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the redacted attributes of a resource; the operator may have put a URL with a password there."""
        return self._free.attributes(attributes)

    def metric_attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the redacted attributes of a series, whose names are on an allow-list."""
        return self._free.attributes(attributes)

    def body(self, text: str, template: str | None = None) -> str:
        """Return a log record's redacted body; a strict one is only the template.

        `template` is the message without its arguments if it is known to be a constant of the code, else None.
        """
        if self.strict:
            return self._by_patterns(cut(encodable(template), BODY_BYTES)) if template else MASK
        return self.text(text, BODY_BYTES)

    def name(self, text: str, *, constant: bool = False) -> str:
        """Return the name of an event, a scope or a logger; a strict one only if it is a `constant` of the code."""
        if self.strict:
            return self._by_patterns(text) if constant else MASK
        return self.text(text)

    def version(self, text: str) -> str:
        """Return the version of a scope; a strict one only if it is a number."""
        return self.text(safe.version(text) if self.strict else text)

    def schema_url(self, text: str) -> str:
        """Return the schema URL of a scope; a strict one only if it has nothing but a host and a path."""
        return self.text(safe.url(text) if self.strict else text)

    def span_name(self, name: str, attributes: Mapping[str, Any], *, constant: bool = False) -> str:
        """Return the name of a span with `attributes`; a strict one is built from them unless it is a `constant`."""
        if self.strict:
            name = safe.span_name(name, attributes, constant=constant) or MASK
        elif attributes.get("http.request.method") == "_OTHER":
            # Django's instrumentation uses the client's invented method; the conventions require "HTTP".
            method, blank, rest = name.partition(" ")
            name = name if method in safe.METHODS else f"HTTP{blank}{rest}"
        return self.text(name)

    def description(self, text: str) -> str:
        """Return the description of a span's status; a strict one is empty."""
        return "" if self.strict else self.text(text)

    def statement(self, text: str, dialect: str = "") -> str:
        """Return SQL without its literals; at the strict level, only its operation and its tables.

        `dialect` is the value of `db.system.name`.
        """
        if self.strict:
            return safe.statement(text)
        if (dialect, text) in self._clean_statements:
            return text
        bare = without_literals(text[: TEXT_BYTES + _SLACK], dialect)
        if not is_known(dialect):
            return self.text(bare)
        redacted = self._settled(encodable(bare), TEXT_BYTES, None, statement=True)
        if redacted == text:
            _remember(self._clean_statements, (dialect, text), len(text))
        return redacted

    def stack_of(self, error: BaseException) -> str | safe.Vetted:
        """Return the stack trace of `error` for `attributes`; to be called in the process that has the exception.

        At the strict level, only this function's result is exported as a stack trace, never a text.
        """
        return safe.stack_of(error) if self.strict else "".join(traceback.format_exception(error))

    # --- Free text: the rules alone ---------------------------------------------------------------------------------

    def text(self, text: str, limit: int = TEXT_BYTES) -> str:
        """Return free text redacted by the rules, only its beginning if it is longer than `limit` bytes."""
        if text in self._clean and limit >= _CLEAN_BYTES:
            return text
        seen, length = encodable(text), None
        if len(text) > limit + _SLACK:
            seen, length = encodable(text[: limit + _SLACK]), len(text)
        redacted = self._settled(seen, limit, length)
        if redacted == text:
            _remember(self._clean, text, len(text))
        return redacted

    def stack(self, text: str) -> str:
        """Return a stack trace redacted by the rules, only its beginning and its end if it is too long.

        It is redacted as a whole and then cut. Of one with more than `STACK_CHARACTERS`, only the beginning is kept.
        """
        if len(text) > STACK_CHARACTERS:
            seen = encodable(text[: STACK_BYTES + _SLACK])
            return self._settled(seen, STACK_BYTES, len(text))
        return self._settled(encodable(text), STACK_BYTES, None, stack=True)

    def value(self, key: str, value: Any, beside: Mapping[str, Any], *, inside: bool = False) -> Any:
        """Return the redacted value of the attribute `key`; `beside` are all attributes.

        One that is `inside` of another value has been shortened with it.
        """
        policy = policy_of(key)
        if policy is Policy.HIDE:
            if value.__class__ is int and is_count(key, value):
                return value
            return value if value is None or (isinstance(value, str) and not value) else MASK
        if isinstance(value, str):
            keep = policy is Policy.KEEP and len(value) <= TEXT_BYTES and value.isascii()
            redacted = value if keep else self._by_policy(policy, value, beside)
            # The redaction of paths and statements depends on the other attributes.
            if redacted == value and policy is not Policy.PATH and policy is not Policy.SQL:
                _remember(self._clean_attributes, (key, value), len(key) + len(value))
            return redacted
        if value is None or isinstance(value, bool):
            return value
        return self._other(key, value if inside else shortened(value, _items)[0], beside)

    # --- Inside -----------------------------------------------------------------------------------------------------

    def _other(self, key: str, value: Any, beside: Mapping[str, Any]) -> Any:
        if isinstance(value, int | float):
            number = number_of(value)
            return self.value(key, number, beside) if isinstance(number, str) else number
        if isinstance(value, bytes):
            return self._by_policy(policy_of(key), value.decode(errors="replace"), beside)
        if isinstance(value, Mapping):
            free, within = self._free, {text_of(key): inner for key, inner in value.items()}
            return {
                cut(free.text(key), LONGEST_KEY): free.value(key, inner, within, inside=True)
                for key, inner in within.items()
            }
        if isinstance(value, Sequence):
            return self._list(key, value, beside)
        return self.text(text_of(value))

    def _list(self, key: str, values: Sequence[Any], beside: Mapping[str, Any]) -> list[Any]:
        """Return values redacted, including one named as a secret by its predecessor: a header, a field, an option."""
        if len(values) == 2 and isinstance(values[0], str | bytes) and policy_of(text_of(values[0])) is Policy.HIDE:  # noqa: PLR2004
            return [self.text(text_of(values[0])), MASK]
        result, hidden = [], False
        for value in values:
            result.append(MASK if hidden else self.value(key, value, beside, inside=True))
            scheme = isinstance(value, str | bytes) and text_of(value).lower() in _SCHEMES
            hidden = scheme or (not hidden and isinstance(value, str | bytes) and _names_secret(value))
        return result

    def _by_policy(self, policy: Policy, value: str, beside: Mapping[str, Any]) -> str:
        if policy is Policy.TEXT:
            return self.text(value)
        if policy is Policy.KEEP:
            return cut(encodable(value), TEXT_BYTES)
        if policy is Policy.STACK:
            return self.stack(value)
        if policy is Policy.SQL:
            return self.statement(value, str(beside.get("db.system.name") or beside.get("db.system") or ""))
        if policy is Policy.PATH:
            return shown_path(value, str(beside.get("http.route", "")))
        bare, mark, _ = _USERINFO.sub(f"{MASK}@", value[: TEXT_BYTES + _SLACK]).partition("?")
        return self.text(f"{bare}?{MASK}" if mark else bare)

    def _settled(
        self, text: str, limit: int, length: int | None, *, stack: bool = False, statement: bool = False
    ) -> str:
        redacted = self._redacted(text, statement)
        if length is not None:
            redacted = redacted[: max(0, len(redacted) - _SLACK)]
        shorten = cut_middle if stack else cut
        result = shorten(redacted, limit, length)
        # A replacement or a cut can create a new match of a rule.
        for _ in range(_ROUNDS):
            if result == text:
                break
            text, result = result, shorten(self._redacted(result, statement), limit)
        return result

    def _redacted(self, text: str, statement: bool) -> str:
        text = redact_text(text, statement=statement)
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


def _items(mapping: Mapping[Any, Any]) -> Items:
    """Return the members of `mapping`: masks beside a member that names a secret."""
    named = any(_is_naming(key) and _names_secret(inner) for key, inner in mapping.items())
    return ((key, MASK if named and not _is_naming(key) else inner) for key, inner in mapping.items())


def _is_naming(key: Any) -> bool:
    return isinstance(key, str) and key.lower() in _NAMING


def _names_secret(value: Any) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return bool(value) and _names_secret(value[-1])
    return isinstance(value, str | bytes) and len(value) <= LONGEST_KEY and is_secret(text_of(value))


def _remember(known: set[T], new: T, length: int) -> None:
    if length * 4 <= _CLEAN_BYTES:
        if len(known) >= _CLEAN_TEXTS:
            known.clear()
        known.add(new)
