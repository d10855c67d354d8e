"""Runs the instrumentations that TELEMETRY_INSTRUMENT names, unmodified.

They patch their library in this process, before its server forks, and record through the public API: their spans and
measurements go into the journal like all others.
"""

import logging
from collections.abc import Iterable

from telemetry.config.instrumentations import find

logger = logging.getLogger(__name__)


def instrument(names: Iterable[str]) -> None:
    """Run the instrumentations of `names`; one that fails is logged, and the service runs without it."""
    for name in names:
        try:
            found = find(name)
            if found is not None:
                found.load()().instrument(skip_dep_check=True)
        except Exception:
            logger.exception("the instrumentation of %s did not start; the service runs without it", name)
