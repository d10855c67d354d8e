"""The self-describing key of a series in a slot file, and how many numbers its kind needs."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

Kind = Literal["counter", "histogram", "updowncounter", "gauge"]
Merge = Literal["sum", "max", "min", "mostrecent"]
MERGES: Final[tuple[str, ...]] = get_args(Merge)

# Positions of the values of up-down counters and gauges. They count only while the owner that wrote them lives, so
# each says which owner that was.
VALUE, GENERATION, SECONDS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """One series as OpenTelemetry names it.

    ``origin`` keeps writers apart that must not share a place in the file (the instrumentation's scope); a scrape adds
    their values up. ``merge`` says how the values of several workers become one.
    """

    name: str
    description: str
    unit: str
    kind: Kind
    origin: str = ""
    bounds: tuple[float, ...] = ()
    merge: Merge = "sum"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> int:
        """How many numbers the series needs: the last one of counters and histograms counts exemplar changes."""
        if self.kind == "histogram":
            return len(self.bounds) + 3  # buckets, sum, changes
        return 2 if self.kind == "counter" else 3

    @property
    def exemplars(self) -> int:
        """How many exemplar slots the series has: one for each bucket, one for a counter."""
        if self.kind == "histogram":
            return len(self.bounds) + 1
        return 1 if self.kind == "counter" else 0

    def encode(self) -> bytes:
        """The key as bytes: equal series give equal bytes."""
        fields = [
            self.name,
            self.description,
            self.unit,
            self.kind,
            self.origin,
            self.bounds,
            self.merge,
            dict(sorted(self.attributes.items())),
        ]
        return json.dumps(fields, separators=(",", ":"), default=_encode_value).encode()

    @classmethod
    def decode(cls, encoded: bytes) -> "SeriesKey":
        """The inverse of encode; raises ValueError for anything else."""
        try:
            name, description, unit, kind, origin, bounds, merge, attributes = json.loads(encoded)
            known = kind in get_args(Kind) and merge in MERGES and isinstance(attributes, dict)
            key = cls(name, description, unit, kind, origin, tuple(map(float, bounds)), merge, attributes)
        except (TypeError, ValueError) as error:
            raise ValueError(f"key {encoded!r:.200} is not a series; accepted: what encode() makes") from error
        if not known:
            raise ValueError(f"key {encoded!r:.200} has an unknown kind or merge rule")
        return key


def _encode_value(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
