"""The values of telemetry variables: how each kind of text is parsed, which texts are accepted, and how they are shown.

A parser turns a text into a value or raises `RefusalError`, which never quotes the text: it may be a secret, and only
`Parser.mask` decides how much of it may be shown.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar, get_args

Mode = Literal["collector", "direct", "off"]
Signal = Literal["traces", "metrics", "logs"]
Exporter = Literal["otlp", "console", "none", "prometheus"]
Protocol = Literal["grpc", "http/protobuf"]
Compression = Literal["none", "gzip"]
ExemplarFilter = Literal["always_on", "always_off", "trace_based"]
LogLevel = Literal["debug", "info", "warning", "error"]
IncomingContext = Literal["trust", "link", "ignore"]
ExporterPlace = Literal["process", "thread"]
Instrumentation = Literal["native", "contrib"]
Privacy = Literal["redact", "strict"]
Pairs = tuple[tuple[str, str], ...]

SIGNALS: tuple[Signal, ...] = get_args(Signal)

MASK = "***"
_SHOWN_LENGTH = 60
_USERINFO = re.compile(r"(?<=://).*@", re.DOTALL)

T_co = TypeVar("T_co", covariant=True)


class ConfigError(ValueError):
    """A variable has an invalid value.

    `str()` is one line with the variable, its value (masked if it may contain a secret, cut if it is long) and the
    accepted values. `value` is the masked text, too: the error contains no secret at all.
    """

    def __init__(self, variable: str, value: str, accepted: str, reason: str = "") -> None:
        self.variable = variable
        self.value = value
        self.accepted = accepted
        self.reason = reason
        found = f"{shown(value)} {reason}" if reason else f"invalid value {shown(value)}"
        super().__init__(f"{variable}: {found}; expected {accepted}")

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, str, str, str]]:
        return type(self), (self.variable, self.value, self.accepted, self.reason)


class RefusalError(ValueError):
    """A parser does not accept a text; the message is a predicate ("contains a query") and never quotes the text."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class OutsideError(RefusalError):
    """The file or folder that a text names is currently unusable; the text itself is valid."""


def shown(text: str) -> str:
    """Return `text` quoted on one line, cut at 60 characters."""
    return repr(text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 3]}...")


class Parser(ABC, Generic[T_co]):
    """Parses one kind of text."""

    @property
    @abstractmethod
    def accepted(self) -> str:
        """The accepted values, for errors and documents."""

    @abstractmethod
    def __call__(self, text: str) -> T_co:
        """Return the value, or raise `RefusalError`."""

    def doubt(self, text: str) -> str | None:  # noqa: ARG002  (most kinds have no warnings)
        """Return a predicate that warns of a valid `text` that is probably not intended, or None."""
        return None

    def mask(self, text: str) -> str:
        """Return `text` without its secrets."""
        return _USERINFO.sub(f"{MASK}@", text)


@dataclass(frozen=True)
class OneOf(Parser[T_co]):
    """One of several words, in any case; `aliases` are other words for some of them."""

    values: Sequence[T_co]
    aliases: Mapping[str, T_co] = field(default_factory=dict)

    @property
    def accepted(self) -> str:
        return ", ".join([*map(str, self.values), *self.aliases])

    def __call__(self, text: str) -> T_co:
        words = {str(value): value for value in self.values} | dict(self.aliases)
        if text.lower() not in words:
            raise RefusalError
        return words[text.lower()]


@dataclass(frozen=True)
class Fixed(Parser[str]):
    """The only supported word; `others` are known and refused with `reason`, a predicate."""

    value: str
    others: Sequence[str]
    reason: str

    @property
    def accepted(self) -> str:
        return self.value

    def __call__(self, text: str) -> str:
        if text.lower() != self.value:
            raise RefusalError(self.reason) if text.lower() in self.others else RefusalError
        return self.value


class Switch(Parser[bool]):
    """true or false, in any case."""

    accepted = "true, false"

    def __call__(self, text: str) -> bool:
        if text.lower() not in {"true", "false"}:
            raise RefusalError
        return text.lower() == "true"


class LenientSwitch(Switch):
    """A boolean as specified: `true` is true, anything else is false, with a warning."""

    def __call__(self, text: str) -> bool:
        return text.lower() == "true"

    def doubt(self, text: str) -> str | None:
        return None if text.lower() in {"true", "false"} else "is neither true nor false and counts as false"


@dataclass(frozen=True)
class WholeNumber(Parser[int]):
    """A whole number in decimal digits."""

    maximum: int
    unit: str = ""
    minimum: int = 1

    @property
    def accepted(self) -> str:
        return f"a whole number{self.unit} from {self.minimum} to {self.maximum}"

    def __call__(self, text: str) -> int:
        # int() would also accept signs, underscores and the digits of other scripts.
        if not re.fullmatch(r"[0-9]{1,18}", text) or not self.minimum <= int(text) <= self.maximum:
            raise RefusalError
        return int(text)


@dataclass(frozen=True)
class Milliseconds(Parser[float]):
    """A duration: milliseconds in the environment, as specified, and seconds in the configuration."""

    doubt_below: int = 0
    _number: WholeNumber = WholeNumber(maximum=86_400_000, unit=" of milliseconds")

    @property
    def accepted(self) -> str:
        return self._number.accepted

    def __call__(self, text: str) -> float:
        return self._number(text) / 1000

    def doubt(self, text: str) -> str | None:
        return "is in milliseconds, a very short time" if int(text) < self.doubt_below else None


@dataclass(frozen=True)
class Decimal(Parser[float]):
    """A decimal number; with `above_minimum`, it must exceed `minimum`."""

    maximum: int
    minimum: int = 0
    above_minimum: bool = False
    unit: str = ""

    @property
    def accepted(self) -> str:
        lower = f"above {self.minimum} and up" if self.above_minimum else f"from {self.minimum}"
        return f"a number{self.unit} {lower} to {self.maximum}"

    def __call__(self, text: str) -> float:
        if not re.fullmatch(r"[0-9]*\.?[0-9]+(e-?[0-9]+)?|[0-9]+\.", text, re.IGNORECASE | re.ASCII):
            raise RefusalError
        value = float(text)
        if not math.isfinite(value) or not self.minimum <= value <= self.maximum:
            raise RefusalError
        if self.above_minimum and value <= self.minimum:
            raise RefusalError
        return value


class ReadableFile(Parser[str]):
    """The path of a file that this process can read."""

    accepted = "the path of a readable file"

    def __call__(self, text: str) -> str:
        try:
            with Path(text).open("rb") as file:
                file.read(1)
        except FileNotFoundError:
            raise OutsideError("does not exist") from None
        except IsADirectoryError:
            raise OutsideError("is a directory") from None
        except OSError:
            raise OutsideError("cannot be read") from None
        except ValueError:
            raise RefusalError("cannot be read") from None
        return text


class Text(Parser[str]):
    """Any printable text."""

    accepted = "printable text, up to 255 characters"

    def __call__(self, text: str) -> str:
        if not text.isprintable() or len(text) > 255:  # noqa: PLR2004  (the text above names the limit)
            raise RefusalError
        return text


class Secret(Parser[str]):
    """A bearer token, valid in an HTTP header."""

    accepted = "printable ASCII characters without spaces"
    _SHORT = 16

    def __call__(self, text: str) -> str:
        if not re.fullmatch(r"[\x21-\x7e]+", text):
            raise RefusalError
        return text

    def doubt(self, text: str) -> str | None:
        return f"is shorter than {self._SHORT} characters and easy to guess" if len(text) < self._SHORT else None

    def mask(self, text: str) -> str:  # noqa: ARG002  (the whole text is masked)
        return MASK
