"""A variation of a comparison of the same set-ups: sampling, the database, the worker class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from telemetry.tools.compare.setups.database import Database


@dataclass(frozen=True, slots=True)
class Condition:
    """`environment` and gunicorn's `arguments` are added to those of every set-up.

    `database` replaces the comparison's; `uncounted` are signals of which a request no longer leaves exactly one item.
    """

    key: str = ""
    title: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    database: Database | None = None
    uncounted: frozenset[str] = frozenset()


PLAIN = Condition()
SAMPLED = Condition(
    "sampled",
    "10 % sampling",
    {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    uncounted=frozenset({"spans"}),
)
SYNC = Condition("sync", "sync workers", arguments=("--worker-class", "sync", "--threads", "1"))
