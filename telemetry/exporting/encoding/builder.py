"""Export requests: encoded spans or log records of one resource, grouped by scope.

Requests of both signals have the same form: groups by resource, each with groups by scope. Since these fields are
repeated ones, concatenated requests of one signal form one valid request.
"""

from collections.abc import Mapping
from typing import Any

from telemetry.exporting.encoding.common import attributes
from telemetry.exporting.encoding.forms import ScopeData
from telemetry.exporting.encoding.wire import BYTES, field, tag, text

_RESOURCE_GROUP = tag(1, BYTES)
_RESOURCE = tag(1, BYTES)
_RESOURCE_ATTRIBUTE = tag(1, BYTES)
_SCOPE_GROUP = tag(2, BYTES)
_SCOPE = tag(1, BYTES)
_SCOPE_NAME = tag(1, BYTES)
_SCOPE_VERSION = tag(2, BYTES)
_SCOPE_ATTRIBUTE = tag(3, BYTES)
_ITEMS = tag(2, BYTES)
_SCHEMA_URL = tag(3, BYTES)


def encode_scope_attributes(given: Mapping[str, Any]) -> bytes:
    """Return the attributes of a scope sorted by key, so that equal scopes form one group; values may be lists."""
    return attributes(_SCOPE_ATTRIBUTE, {key: given[key] for key in sorted(given)})


class RequestBuilder:
    """One export request of `signal`, traces or logs, with `items` added so far, of `size` bytes in total."""

    def __init__(self, signal: str, resource: Mapping[str, Any]) -> None:
        self.signal = signal
        self.items = 0
        self._resource = field(_RESOURCE, attributes(_RESOURCE_ATTRIBUTE, resource))
        self._scopes: dict[ScopeData, list[bytes]] = {}
        self.size = 0

    def add(self, scope: ScopeData, encoded: bytes) -> None:
        """Add a span or log record from `encode_span` or `encode_log`."""
        group = self._scopes.get(scope)
        if group is None:
            group = self._scopes[scope] = []
        group.append(encoded)
        self.size += len(encoded)
        self.items += 1

    def build(self) -> bytes:
        """Return the request; more items may be added afterwards."""
        if not self._scopes:
            return b""
        groups = [field(_SCOPE_GROUP, _group(scope, items)) for scope, items in self._scopes.items()]
        return field(_RESOURCE_GROUP, b"".join([self._resource, *groups]))


def _group(scope: ScopeData, items: list[bytes]) -> bytes:
    described = text(_SCOPE_NAME, scope.name) + text(_SCOPE_VERSION, scope.version)
    described += scope.attributes
    encoded = [field(_ITEMS, item) for item in items]
    return b"".join((field(_SCOPE, described), *encoded, text(_SCHEMA_URL, scope.schema_url)))
