"""How much the console keeps, and how much one message may hold."""

from dataclasses import dataclass, field

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class SignalLimits:
    """The most that is kept of one signal; whichever limit is reached first evicts the oldest."""

    records: int
    bytes: int

    def __post_init__(self) -> None:
        for name in ("records", "bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"SignalLimits.{name} is {getattr(self, name)}; expected an integer from 1")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the store per signal, and of one OTLP message after decompression.

    `message_records` bounds the resources, scopes, metrics and records of a message; a larger message is refused. A
    record of more than `record_bytes` is rejected: decoded it can take 30 times as much.
    """

    spans: SignalLimits = field(default_factory=lambda: SignalLimits(50_000, 64 * MEBIBYTE))
    logs: SignalLimits = field(default_factory=lambda: SignalLimits(50_000, 64 * MEBIBYTE))
    points: SignalLimits = field(default_factory=lambda: SignalLimits(500_000, 64 * MEBIBYTE))
    message_bytes: int = 4 * MEBIBYTE
    message_records: int = 50_000
    record_bytes: int = MEBIBYTE // 4
