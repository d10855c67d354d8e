"""Who sent a record: the resource (service, mode, instance) and the instrumentation scope."""

import threading
import weakref
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.proto.trace.v1 import trace_pb2

from telemetry.tools.console.receiving.values import PlainValue, plain_attributes, size_of

#: The mode of records whose resource has no `export.mode` and of samples without the label `export_mode`.
UNKNOWN_MODE = "unknown"

#: Longer names of modes and services are cut (characters): they are repeated on every page.
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A decoded resource; `instance` identifies the process, `size` is what all of it takes in memory."""

    attributes: dict[str, PlainValue]
    mode: str
    service: str
    instance: tuple[str, ...]
    size: int


class Scope(NamedTuple):
    """The instrumentation scope of a record: a library's or a logger's name."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Origin:
    """Resource and scope, shared by all records that came with the same ones; `size` is charged once for them all.

    `raw` are the ResourceSpans and ScopeSpans (or those of logs and metrics) that they came in, without records.
    """

    resource: Resource
    scope: Scope
    size: int
    raw: tuple[bytes, bytes]


class OriginCache:
    """Decodes each distinct origin once, as long as a record of it is kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origins: MutableMapping[tuple[bytes, bytes], Origin] = weakref.WeakValueDictionary()

    def get(self, resource: bytes, scope: bytes) -> Origin:
        """The origin of records in these ResourceSpans and ScopeSpans (or those of logs and metrics), without them."""
        key = (resource, scope)
        with self._lock:
            origin = self._origins.get(key)
            if origin is None:
                # Resource, scope and schema URL have the same field numbers in the messages of all signals.
                decoded = _decode(resource)
                message = trace_pb2.ScopeSpans.FromString(scope).scope
                name = Scope(message.name, message.version)
                origin = Origin(decoded, name, decoded.size + size_of(name) + size_of(key), key)
                self._origins[key] = origin
            return origin


def _decode(raw: bytes) -> Resource:
    message = trace_pb2.ResourceSpans.FromString(raw).resource
    attributes = plain_attributes(message.attributes)
    instance_id = attributes.get("service.instance.id")
    service = str(attributes.get("service.name", ""))[:LONGEST_NAME]
    # Without an instance id the whole resource is the next best identity of a process.
    instance = (service, str(instance_id)) if instance_id else (service, "", raw.hex())
    mode = str(attributes.get("export.mode") or UNKNOWN_MODE)[:LONGEST_NAME]
    return Resource(attributes, mode, service, instance, size_of((attributes, mode, service, instance)))
