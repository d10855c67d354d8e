"""Faults that the receiver injects on demand: a slow, refusing or half-accepting backend for tests."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

_SIGNALS = ("traces", "metrics", "logs")
_STATUSES = range(300, 600)
_LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Faults:
    """What to do to each OTLP request; the default does nothing.

    `status`: refuse with this HTTP status (gRPC: the code that OTLP maps it to); nothing is stored.
    `retry_after`: seconds; the header Retry-After, or gRPC's RetryInfo, of a refusal.
    `delay`: seconds to wait before the answer; what the request holds is stored even if its sender has given up.
    `partial_reject`: leave out the last so many records of each request and say so in `partial_success`.
    `signals`: the signals that this concerns.
    """

    status: int | None = None
    retry_after: float | None = None
    delay: float = 0.0
    partial_reject: int = 0
    signals: tuple[str, ...] = _SIGNALS

    def __post_init__(self) -> None:
        if self.status is not None and (not _is_number(self.status, int) or self.status not in _STATUSES):
            raise ValueError(f"status is {self.status!r}; expected an HTTP status from 300 to 599, or none")
        if self.retry_after is not None:
            _check_seconds("retry_after", self.retry_after)
        _check_seconds("delay", self.delay)
        if not _is_number(self.partial_reject, int) or self.partial_reject < 0:
            raise ValueError(f"partial_reject is {self.partial_reject!r}; expected an integer from 0")
        unknown = [name for name in self.signals if name not in _SIGNALS]
        if unknown:
            raise ValueError(f"signals has {unknown[0]!r}; expected {', '.join(_SIGNALS)}")

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read the object of the JSON API; raises ValueError that names field, value and expected values."""
        if not isinstance(data, Mapping):
            raise ValueError("faults are not a JSON object")  # noqa: TRY004 (one error type for one bad request)
        names = [field.name for field in fields(cls)]
        values: dict[str, Any] = dict(data)
        for name in values:
            if name not in names:
                raise ValueError(f"{name} is no field of faults; expected one of {', '.join(names)}")
        signals = values.get("signals", _SIGNALS)
        if not isinstance(signals, list | tuple):
            raise ValueError(f"signals is {signals!r}; expected a list of {', '.join(_SIGNALS)}")  # noqa: TRY004
        return cls(**{**values, "signals": tuple(signals)})


def _is_number(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_seconds(name: str, value: object) -> None:
    if not (_is_number(value, (int, float)) and 0 <= value <= _LONGEST_SECONDS):  # type: ignore[operator]
        raise ValueError(f"{name} is {value!r}; expected seconds from 0 to {_LONGEST_SECONDS:.0f}")
