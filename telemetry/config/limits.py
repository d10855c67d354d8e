"""The standard limits of spans and log records.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#attribute-limits
"""

from dataclasses import dataclass, fields
from typing import Any, cast

from telemetry.config.reader import DEFAULT, Environment, Variable, derived_from
from telemetry.config.values import WholeNumber

_LARGEST = 2_147_483_647
_COUNT = WholeNumber(_LARGEST, minimum=0)
_LENGTH = WholeNumber(_LARGEST, unit=" of characters", minimum=0)


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """The most attributes, events and links of an item, and the most characters of a value; None: no limit."""

    attribute_count: int
    attribute_length: int | None
    span_attribute_count: int
    span_attribute_length: int | None
    span_event_count: int
    span_link_count: int
    event_attribute_count: int
    link_attribute_count: int
    log_attribute_count: int
    log_attribute_length: int | None


DEFAULT_LIMITS = LimitsConfig(128, None, 128, None, 128, 128, 128, 128, 128, None)


def _count(name: str, field: str, what: str, default: str | None = "128", note: str = "") -> Variable[int]:
    return Variable(name, f"limits.{field}", _COUNT, default, what, note)


def _length(name: str, field: str, what: str, note: str) -> Variable[int | None]:
    return Variable(name, f"limits.{field}", _LENGTH, None, what, note)


_GENERAL_COUNT, _GENERAL_LENGTH = "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
_AS_COUNT, _AS_LENGTH = f"`{_GENERAL_COUNT}`", f"`{_GENERAL_LENGTH}`"
ATTRIBUTE_COUNT = _count(
    _GENERAL_COUNT, "attribute_count", "How many attributes a span, event, link or log record keeps."
)
ATTRIBUTE_LENGTH = _length(
    _GENERAL_LENGTH,
    "attribute_length",
    "How many characters of a text in an attribute are kept; the text is cut after redaction.",
    "no limit",
)
_EVENTS = _count("OTEL_SPAN_EVENT_COUNT_LIMIT", "span_event_count", "How many events a span keeps: the latest ones.")
_LINKS = _count("OTEL_SPAN_LINK_COUNT_LIMIT", "span_link_count", "How many links a span keeps: the latest ones.")
_OWN_COUNTS = tuple(
    _count(f"OTEL_{prefix}_ATTRIBUTE_COUNT_LIMIT", f"{kind}_attribute_count", what, None, _AS_COUNT)
    for prefix, kind, what in (
        ("SPAN", "span", "The same for spans alone."),
        ("EVENT", "event", "The same for events of spans alone."),
        ("LINK", "link", "The same for links of spans alone."),
        ("LOGRECORD", "log", "The same for log records alone."),
    )
)
_OWN_LENGTHS = tuple(
    _length(f"OTEL_{prefix}_ATTRIBUTE_VALUE_LENGTH_LIMIT", f"{kind}_attribute_length", what, _AS_LENGTH)
    for prefix, kind, what in (
        ("SPAN", "span", "The same for spans alone."),
        ("LOGRECORD", "log", "The same for log records alone."),
    )
)
LIMITS: tuple[Variable[Any], ...] = (ATTRIBUTE_COUNT, *_OWN_COUNTS, _EVENTS, _LINKS, ATTRIBUTE_LENGTH, *_OWN_LENGTHS)


def read_limits(environment: Environment) -> LimitsConfig:
    """Return the limits: each from its own variable if that is set, else from the general one."""
    values: dict[str, Any] = {}
    alone: tuple[Variable[Any], ...] = (ATTRIBUTE_COUNT, ATTRIBUTE_LENGTH, _EVENTS, _LINKS)
    for variable in alone:
        values[variable.field] = environment.value(variable.field, cast("Variable[int | None]", variable))
    pairs: tuple[tuple[Variable[Any], tuple[Variable[Any], ...]], ...]
    pairs = (ATTRIBUTE_COUNT, _OWN_COUNTS), (ATTRIBUTE_LENGTH, _OWN_LENGTHS)
    for general, own in pairs:
        for variable in own:
            values[variable.field] = environment.value(variable.field, cast("Variable[int | None]", variable))
            if environment.sources[variable.field] == DEFAULT:
                environment.sources[variable.field] = derived_from(environment.sources[general.field])
                values[variable.field] = values[general.field]
    return LimitsConfig(**{each.name: values[f"limits.{each.name}"] for each in fields(LimitsConfig)})
