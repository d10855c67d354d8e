"""A project's settings of its telemetry: `TELEMETRY = {...}`, all optional."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# Probes, requested every few seconds by the service's supervisor.
_PROBES = frozenset({"/livez", "/readyz"})


@dataclass(frozen=True, slots=True)
class Project:
    """The settings of one project."""

    service_name: str
    """`service.name` unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES sets one."""
    service_version: str = "unknown"
    metric_attributes: Mapping[str, Collection[str]] = field(default_factory=lambda: MappingProxyType({}))
    """The allowed attributes of each of the project's own metrics; an unlisted metric has none."""
    untraced_paths: frozenset[str] = _PROBES
    """Requests for these create no span, no measurement and no access record."""
    metrics_path: str | None = "/metrics"
    """The path where the middleware answers scrapes before all others; None leaves it to the URL configuration."""
    access_logger: str | None = "telemetry.access"
    """The logger of the access records; None for no access records."""
    given: frozenset[str] = frozenset()
    """The fields that the settings contain; the others have their defaults."""

    @property
    def untraced(self) -> frozenset[str]:
        """The paths that are not recorded."""
        return self.untraced_paths | {self.metrics_path or "/metrics"}


def read_project() -> Project:
    """Return the settings. Raises ImproperlyConfigured, with a one-line message, for invalid ones."""
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
