"""Faults that the receiver injects on demand: a slow, refusing or half-accepting backend for tests."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

_SIGNALS = ("traces", "metrics", "logs")
#: The permitted values of a field: type, least, most, and a description.
_BOUNDS: tuple[tuple[str, Any, float, float, str], ...] = (
    ("status", int, 300, 599, "an HTTP status from 300 to 599, or none"),
    ("retry_after", int | float, 0, 3600, "seconds from 0 to 3600"),
    ("delay", int | float, 0, 3600, "seconds from 0 to 3600"),
    ("partial_reject", int, 0, float("inf"), "an integer from 0"),
)


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults applied to each OTLP request; by default none.

    `status`: refuse with this HTTP status (gRPC: the code that OTLP maps it to); nothing is stored.
    `retry_after`: seconds; the header Retry-After, or gRPC's RetryInfo, of a refusal.
    `delay`: seconds to wait before the answer; what the request holds is stored even if its sender has given up.
    `partial_reject`: reject the last so many records of each request and report them in `partial_success`.
    `signals`: the signals affected.
    """

    status: int | None = None
    retry_after: float | None = None
    delay: float = 0.0
    partial_reject: int = 0
    signals: tuple[str, ...] = _SIGNALS

    def __post_init__(self) -> None:
        for name, kind, least, most, expected in _BOUNDS:
            value = getattr(self, name)
            if value is None and name in {"status", "retry_after"}:
                continue
            if isinstance(value, bool) or not (isinstance(value, kind) and least <= value <= most):
                raise ValueError(f"{name} is {value!r}; expected {expected}")
        unknown = [name for name in self.signals if name not in _SIGNALS]
        if unknown:
            raise ValueError(f"signals has {unknown[0]!r}; expected {', '.join(_SIGNALS)}")

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read the JSON API's object; raises a ValueError that names field, value and expected values."""
        if not isinstance(data, Mapping):
            raise ValueError("faults are not a JSON object")  # noqa: TRY004 (one error type for one bad request)
        names = [field.name for field in fields(cls)]
        values: dict[str, Any] = {"signals": _SIGNALS, **data}
        for name in values:
            if name not in names:
                raise ValueError(f"{name} is no field of faults; expected one of {', '.join(names)}")
        signals = values["signals"]
        if not isinstance(signals, list | tuple):
            raise ValueError(f"signals is {signals!r}; expected a list of {', '.join(_SIGNALS)}")  # noqa: TRY004
        return cls(**{**values, "signals": tuple(signals)})
