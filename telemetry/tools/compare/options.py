"""The options of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Scenario = Literal["cost", "conditions", "freshness", "loss", "scrapes", "scale", "profile"]
SCENARIOS: tuple[Scenario, ...] = ("cost", "conditions", "freshness", "loss", "scrapes", "scale", "profile")
DEFAULT_SCENARIOS: tuple[Scenario, ...] = ("cost", "freshness", "loss", "scrapes", "scale")
LOSS_KINDS = (
    "calm",
    "gone",
    "slow",
    "refusing",
    "killed",
    "exporter-killed",
    "everything-killed",
    "deploy",
    "recycled",
    "stop",
    "stop-and-start",
    "collector-restart",
)


@dataclass(frozen=True, slots=True)
class Backends:
    """Base URLs of real backends, all empty if the embedded console takes their place.

    The service sends to `otlp` (host:port) in collector mode, and its spans to `otlp_traces` in direct mode.
    """

    prometheus: str = ""
    tempo: str = ""
    loki: str = ""
    jaeger: str = ""
    otlp: str = ""
    otlp_traces: str = ""

    @property
    def given(self) -> bool:
        """Whether any is set."""
        return bool(self.prometheus or self.tempo or self.loki or self.jaeger)

    @property
    def complete(self) -> bool:
        """Whether each signal has its backend."""
        return bool(self.prometheus and self.loki and (self.tempo or self.jaeger))


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked. Times in seconds, `rate` in requests per second (0: found by a calibration).

    `collector` is `rotel`, `none` (the service sends to the backend itself) or the path of Alloy's binary.
    `service_env` is added to the service's environment. `keep_data` writes every latency beside the report. With
    `publish` a machine that is busy with other work is refused. `command` is the command line that made the report,
    without secrets.
    """

    output: Path
    scenarios: Sequence[Scenario] = DEFAULT_SCENARIOS
    variants: Sequence[str] = ("off", "collector-grpc", "collector-http", "direct", "direct-stdout")
    faults: Sequence[str] = LOSS_KINDS
    rounds: int = 6
    duration: float = 10.0
    rate: float = 0.0
    workers: int = 2
    clients: int = 8
    outage: float = 60.0
    interval: float = 5.0
    database: str = "sqlite"
    postgres: str = ""
    collector: str = "rotel"
    backends: Backends = field(default_factory=Backends)
    service_env: Mapping[str, str] = field(default_factory=dict)
    service_port: int = 0
    quick: bool = False
    publish: bool = False
    keep_data: bool = False
    command: str = ""
