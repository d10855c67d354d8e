"""Typed reads of environment variables, with errors that state the expected values."""

from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


class Environment:
    """Reads variables of `environ`; an empty variable counts as not set.

    Every method raises ImproperlyConfigured with one line: variable, value, expected values.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str = "") -> str:
        """Return the variable without surrounding white space."""
        return self._environ.get(name, "").strip() or default

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return the variable as a boolean."""
        value = self.text(name).lower()
        if not value:
            return default
        if value not in _TRUE + _FALSE:
            raise self.error(name, value, f"{', '.join(_TRUE)}, {', '.join(_FALSE)}")
        return value in _TRUE

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """Return the variable as a whole number from `minimum` to `maximum`."""
        value = self.text(name)
        if not value:
            return default
        if not (value.isascii() and value.isdigit() and minimum <= int(value) <= maximum):
            raise self.error(name, value, f"a whole number from {minimum} to {maximum}")
        return int(value)

    def names(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """Return the comma-separated parts of the variable."""
        parts = [part.strip() for part in self.text(name).split(",")]
        return [part for part in parts if part] or list(default)

    @staticmethod
    def error(name: str, value: str | None, accepted: str) -> ImproperlyConfigured:
        """Return the error for an invalid value: "" means not set, None keeps a secret out of the message."""
        found = (
            ": invalid value (hidden)" if value is None else f": invalid value {value!r}" if value else " is not set"
        )
        return ImproperlyConfigured(f"{name}{found}; expected {accepted}.")
