"""A mapping in the configuration file: known keys are read, and unknown ones are refused by name."""

from collections.abc import Callable
from typing import Any

from telemetry.config.values import MASK, ConfigError

FILE = "OTEL_CONFIG_FILE"
_WORDS: dict[type, str] = {str: "a string", int: "a whole number", bool: "true or false", float: "a number"}
_MASKED = "headers"


class Values:
    """A file's contents as the equivalent variables, and its errors."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.errors: list[ConfigError] = []

    def give(self, variable: str, text: str, path: str = "") -> None:
        """Set `variable` to `text`, found at `path`; without a path, it is the file's default."""
        self.texts[variable] = text
        self.origins[variable] = f"{FILE}: {path}" if path else FILE

    def refuse(self, path: str, value: Any, accepted: str, reason: str = "") -> None:
        """Note that the value at `path` is invalid."""
        seen = MASK if _MASKED in path else "" if value is None else value if isinstance(value, str) else repr(value)
        self.errors.append(ConfigError(f"{FILE}: {path}" if path else FILE, seen, accepted, reason))


class Section:
    """One mapping of the file; a `value` of None is an empty one."""

    def __init__(self, values: Values, path: str, value: Any) -> None:
        self.values = values
        self.path = path
        self._known: list[str] = []
        self._left: dict[str, Any] = {}
        if isinstance(value, dict):
            self._left = dict(value)
        elif value is not None:
            values.refuse(path, value, "a mapping")

    def at(self, key: str) -> str:
        """Return the path of `key`."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """Return the value of `key`, or None; refuse one of another type than `kind`."""
        self._known.append(key)
        value = self._left.pop(key, None)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if value is None or (type(value) in kinds):
            return value
        self.values.refuse(self.at(key), value, " or ".join(_WORDS[each] for each in kinds))
        return None

    def give(self, key: str, kind: type | tuple[type, ...], variable: str, default: str | None = None) -> None:
        """Set `variable` to the value of `key`, or to its `default` in a file."""
        value = self.take(key, kind)
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            self.values.give(variable, text, self.at(key))
        elif default is not None:
            self.values.give(variable, default)

    def has(self, key: str) -> bool:
        """Return whether `key` is present, even with an empty value."""
        return key in self._left

    def section(self, key: str) -> "Section":
        """Return the mapping of `key`, an empty one if it is missing."""
        self._known.append(key)
        return Section(self.values, self.at(key), self._left.pop(key, None))

    def items(self, key: str) -> list["Section"]:
        """Return the mappings in the list of `key`."""
        self._known.append(key)
        value = self._left.pop(key, None)
        if value is not None and not isinstance(value, list):
            self.values.refuse(self.at(key), value, "a list")
            return []
        return [Section(self.values, f"{self.at(key)}[{number}]", each) for number, each in enumerate(value or ())]

    def only(self, key: str) -> "Section | None":
        """Return the only mapping in the list of `key`, None for an empty list; refuse several."""
        found = self.items(key)
        if len(found) > 1:
            self.values.refuse(self.at(key), f"{len(found)} entries", "one entry", "are too many")
        return found[0] if found else None

    def choice(self, readers: "dict[str, Callable[[Section], None]]") -> None:
        """Read the only key of this mapping with its reader."""
        chosen = [key for key in readers if self.has(key)]
        if len(chosen) != 1:
            self._known += readers
            if chosen or not self._left:
                given = ", ".join(chosen)
                self.values.refuse(self.path, given, f"one of {', '.join(readers)}", "is not a single choice")
                self._left.clear()
        else:
            readers[chosen[0]](self.section(chosen[0]))
            self._known += [key for key in readers if key not in self._known]
        self.end()

    def end(self) -> None:
        """Refuse all unread keys."""
        for key in self._left:
            accepted = ", ".join(dict.fromkeys(self._known)) or "nothing here"
            self.values.errors.append(
                ConfigError(f"{FILE}: {self.at(key)}", key, accepted, "is not supported by this service")
            )
        self._left = {}
