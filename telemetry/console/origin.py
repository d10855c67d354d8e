"""Who sent a record: the resource (service, mode, instance) and the instrumentation scope."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from telemetry.console.values import PlainValue, plain_attributes

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.resource.v1 import resource_pb2

#: The mode of records whose resource has no `export.mode` and of samples without the label `export_mode`.
UNKNOWN_MODE = "unknown"

_CACHED_RESOURCES = 512


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One decoded resource, shared by all records that came with it; compared by identity of its `key`."""

    key: bytes
    attributes: dict[str, PlainValue]
    mode: str
    service: str
    instance: tuple[str, ...]


class Scope(NamedTuple):
    """The instrumentation scope of a record: a library's or a logger's name."""

    name: str
    version: str

    @classmethod
    def from_message(cls, scope: InstrumentationScope) -> Scope:
        """Read name and version of an OTLP scope."""
        return cls(scope.name, scope.version)


class ResourceCache:
    """Decodes each distinct resource once; keeps the most recently used ones. Thread-safe."""

    def __init__(self, size: int = _CACHED_RESOURCES) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._resources: OrderedDict[bytes, Resource] = OrderedDict()

    def get(self, message: resource_pb2.Resource) -> Resource:
        """The decoded resource of an OTLP message, the same object for the same content while cached."""
        key = message.SerializeToString(deterministic=True)
        with self._lock:
            resource = self._resources.get(key)
            if resource is None:
                resource = self._resources[key] = _decode(key, message)
                if len(self._resources) > self._size:
                    self._resources.popitem(last=False)
            else:
                self._resources.move_to_end(key)
            return resource


def _decode(key: bytes, message: resource_pb2.Resource) -> Resource:
    attributes = plain_attributes(message.attributes)
    instance_id = attributes.get("service.instance.id")
    service = str(attributes.get("service.name", ""))
    # Without an instance id the whole resource is the next best identity of a process.
    instance = (service, str(instance_id)) if instance_id else (service, "", key.hex())
    return Resource(key, attributes, str(attributes.get("export.mode") or UNKNOWN_MODE), service, instance)
