"""How a Django service exports traces, metrics and logs: through a collector, directly, or not at all."""

import os

__version__ = "0.1.0"

# `opentelemetry.propagate` reads OTEL_PROPAGATORS when it is first imported, and raises for an unknown name. The
# configuration reads the variable instead, with a clear message for an error.
_propagators = os.environ.pop("OTEL_PROPAGATORS", None)
import opentelemetry.propagate  # noqa: E402, F401

if _propagators is not None:
    os.environ["OTEL_PROPAGATORS"] = _propagators
