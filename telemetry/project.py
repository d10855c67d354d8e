"""What a project says of its telemetry in its settings: `TELEMETRY = {...}`, all of it optional."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# Probes: whoever runs the service asks for them every few seconds.
_PROBES = frozenset({"/livez", "/readyz"})


@dataclass(frozen=True, slots=True)
class Project:
    """The settings of one project."""

    service_name: str
    """`service.name` where neither OTEL_SERVICE_NAME nor OTEL_RESOURCE_ATTRIBUTES has one."""
    service_version: str = "unknown"
    metric_attributes: Mapping[str, Collection[str]] = field(default_factory=lambda: MappingProxyType({}))
    """For each metric of the project's own, the attributes that it may carry; one that is not listed has none."""
    untraced_paths: frozenset[str] = _PROBES
    """Requests for these leave no span, no count and no access record."""
    metrics_path: str | None = "/metrics"
    """Where the middleware answers scrapes, before anything else; None leaves it to the URL configuration."""
    access_logger: str | None = "telemetry.access"
    """The logger of one record for each request; None for no such records."""
    given: frozenset[str] = frozenset()
    """The fields that the settings have; the others have their defaults."""

    @property
    def untraced(self) -> frozenset[str]:
        """The paths that are not recorded."""
        return self.untraced_paths | {self.metrics_path or "/metrics"}


def read_project() -> Project:
    """Return what the settings say. Raises ImproperlyConfigured, in one line, for what is not understood."""
    given = getattr(settings, "TELEMETRY", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"TELEMETRY: invalid value {given!r}; expected a dictionary.")
    values: dict[str, Any] = {"service_name": _package_of_settings()}
    for name, value in given.items():
        if name not in _KEYS:
            raise ImproperlyConfigured(f"TELEMETRY: unknown key {name!r}; expected {', '.join(_KEYS)}.")
        accepts, expected, convert = _KEYS[name]
        if not accepts(value):
            raise ImproperlyConfigured(f"TELEMETRY[{name!r}]: invalid value {value!r}; expected {expected}.")
        values[name.lower()] = convert(value)
    return Project(**values, given=frozenset(name.lower() for name in given))


def _package_of_settings() -> str:
    module = getattr(settings, "SETTINGS_MODULE", None) or "unknown_service"
    return str(module).partition(".")[0]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/")


def _are_texts(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and all(map(_is_text, value))


def _same(value: Any) -> Any:
    return value


_KEYS: dict[str, tuple[Callable[[Any], bool], str, Callable[[Any], Any]]] = {
    "SERVICE_NAME": (_is_text, "a text", _same),
    "SERVICE_VERSION": (_is_text, "a text", _same),
    "METRIC_ATTRIBUTES": (
        lambda value: isinstance(value, Mapping) and all(map(_is_text, value)) and all(map(_are_texts, value.values())),
        "a dictionary of metrics' names and the names of their attributes",
        _same,
    ),
    "UNTRACED_PATHS": (
        lambda value: _are_texts(value) and all(map(_is_path, value)),
        "a list of paths that start with /",
        frozenset,
    ),
    "METRICS_PATH": (lambda value: value is None or _is_path(value), "a path that starts with /, or None", _same),
    "ACCESS_LOGGER": (lambda value: value is None or _is_text(value), "the name of a logger, or None", _same),
}
