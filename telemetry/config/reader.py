"""Reads variables from an environment: values with their sources, errors and warnings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from telemetry.config.values import ConfigError, OutsideError, Parser, RefusalError, Signal, shown

T = TypeVar("T")

DEFAULT = "default"


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One environment variable; the configuration, its report and its documents are made from these."""

    name: str
    field: str
    """The field of its value in `TelemetryConfig`; with `{signal}`, the variable has a form for each signal."""
    parse: Parser[T]
    default: str | None
    """As text in the environment; None if absence has its own meaning, which `default_note` describes."""
    help: str
    default_note: str = ""
    trimmed: bool = True

    @property
    def per_signal(self) -> bool:
        """Whether `OTEL_EXPORTER_OTLP_<name>` has forms such as `OTEL_EXPORTER_OTLP_TRACES_<name>`."""
        return "{signal}" in self.field

    def for_signal(self, signal: Signal) -> "Variable[T]":
        """Return the form for one signal, which takes precedence over the general one."""
        return replace(self, name=self.name.replace("_OTLP_", f"_OTLP_{signal.upper()}_"))

    @property
    def default_value(self) -> T:
        """The parsed default, or None."""
        return cast("T", None) if self.default is None else self.parse(self.default)


class Environment:
    """Reads variables; collects errors instead of raising them, so that all can be reported at once.

    After an error, the default is returned. No value may be used once `errors` has an entry.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        origins: Mapping[str, str] | None = None,
        errors: Iterable[ConfigError] = (),
        *,
        outside: bool = True,
    ) -> None:
        """`origins` maps variables from a file to their places in it, `errors` are the file's.

        Without `outside`, a text is accepted even if the file or folder that it names is unusable.
        """
        self._outside = outside
        self.sources: dict[str, str] = {}
        self._environ = environ
        self._origins = origins or {}
        self._parsed: dict[str, Any] = {}
        self._errors = {str(error): error for error in errors}
        self._warnings: dict[str, None] = {}

    @property
    def errors(self) -> list[ConfigError]:
        """The errors so far, each once, in the order of reading."""
        return list(self._errors.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings so far, each once, in the order of reading."""
        return tuple(self._warnings)

    def named(self, variable: Variable[Any]) -> str:
        """Return the origin of the value of `variable`: its name, or a place in the configuration file."""
        return self._origins.get(variable.name, variable.name)

    def text(self, variable: Variable[Any]) -> str | None:
        """Return the text of `variable`; None if it is unset or empty, which the specification treats alike."""
        text = self._environ.get(variable.name, "")
        return (text.strip() if variable.trimmed else text) or None

    def given(self, variable: Variable[T]) -> T | None:
        """Return the value of `variable`; None if it is unset or invalid."""
        text = self.text(variable)
        if text is None:
            return None
        if variable.name not in self._parsed:
            self._parsed[variable.name] = self._parse(variable, text)
        return cast("T | None", self._parsed[variable.name])

    def value(self, field: str, *variables: Variable[T]) -> T:
        """Return the value of the first of `variables` that is set, else the last one's default; note its source."""
        for variable in variables:
            if self.text(variable) is not None:
                self.sources[field] = self.named(variable)
                value = self.given(variable)
                return variable.default_value if value is None else value
        self.sources[field] = DEFAULT
        return variables[-1].default_value

    def refuse(self, variable: Variable[Any], reason: str, accepted: str | None = None) -> None:
        """Note that the value of `variable` is invalid, by itself or in combination with others."""
        masked = variable.parse.mask(self.text(variable) or "")
        error = ConfigError(self.named(variable), masked, accepted or variable.parse.accepted, reason)
        self._errors.setdefault(str(error), error)

    def warn(self, variable: Variable[Any], predicate: str) -> None:
        """Note that the value of `variable` is probably not intended."""
        self._warnings[
            f"{self.named(variable)}: {shown(variable.parse.mask(self.text(variable) or ''))} {predicate}"
        ] = None

    def _parse(self, variable: Variable[T], text: str) -> T | None:
        try:
            value = variable.parse(text)
        except RefusalError as refusal:
            if isinstance(refusal, OutsideError) and not self._outside:
                return cast("T", text)
            self.refuse(variable, str(refusal))
            return None
        if doubt := variable.parse.doubt(text):
            self.warn(variable, doubt)
        return value


def derived_from(source: str) -> str:
    """Return the source of a value derived from a value with `source`."""
    return DEFAULT if source == DEFAULT else f"derived from {source}"
