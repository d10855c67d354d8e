"""Random ids of traces and spans, from a generator of their own.

A project may seed Python's shared one, for a stable shuffle or a repeatable training, and its ids would repeat.
"""

import os
from random import Random

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

_random = Random()  # noqa: S311  (ids are no secrets)
getrandbits = _random.getrandbits
os.register_at_fork(after_in_child=_random.seed)


class RandomIds(RandomIdGenerator):
    """The SDK's generator, with random bits of our own."""

    def generate_span_id(self) -> int:
        return getrandbits(64) or self.generate_span_id()

    def generate_trace_id(self) -> int:
        return getrandbits(128) or self.generate_trace_id()
