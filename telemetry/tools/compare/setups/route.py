"""The ways from the service to a receiver of OTLP, and the set-ups that are compared."""

from dataclasses import dataclass
from typing import Literal

from telemetry.tools.compare.upstream import CONTRIB, CONTRIB_DIRECT, DJANGO_PROMETHEUS, SENTRY, Signal, Upstream

Mode = Literal["collector", "direct", "off"]


@dataclass(frozen=True)
class Route:
    """One way from the service to the receiver."""

    mode: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.mode}-{self.protocol}"

    def env_for(self, grpc_port: int, http_port: int) -> dict[str, str]:
        """Return the environment of a service that sends all signals to ports of the loopback address."""
        if self.protocol == "grpc":
            endpoint, logs = f"127.0.0.1:{grpc_port}", f"127.0.0.1:{grpc_port}"
        else:
            endpoint, logs = f"http://127.0.0.1:{http_port}", f"http://127.0.0.1:{http_port}/v1/logs"
        env = {
            "TELEMETRY_MODE": self.mode,
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        }
        return env | {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": logs} if self.mode == "direct" else env


@dataclass(frozen=True, slots=True)
class Variant:
    """One set-up of the service that is compared with `off`. `key` names it in reports and on the command line."""

    key: str
    title: str
    route: Route | None
    sends_logs: bool = True
    upstream: Upstream | None = None

    @property
    def exports(self) -> bool:
        """Whether it has any telemetry."""
        return bool(self.route or self.upstream)

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that it has."""
        if self.upstream:
            return self.upstream.signals
        return frozenset({"spans", "log records", "counter"}) if self.route else frozenset()

    @property
    def is_scraped(self) -> bool:
        """Whether its metrics are scraped."""
        return self.mode == "direct" or bool(self.upstream and self.upstream.metrics_path)

    @property
    def uses_collector(self) -> bool:
        """Whether its telemetry passes through a collector, if one is used."""
        return self.mode == "collector" or bool(self.upstream and self.upstream.through_collector)

    @property
    def mode(self) -> str:
        """The value of TELEMETRY_MODE."""
        return self.route.mode if self.route else "off"

    @property
    def protocol(self) -> str:
        """The OTLP transport, empty if it uses none."""
        if self.upstream:
            return "grpc" if self.upstream.sink == "otlp" else ""
        return self.route.protocol if self.route else ""

    def env(self, port: int) -> dict[str, str]:
        """Return the environment of a service that sends to `port` of the loopback address."""
        if self.upstream:
            endpoint = {
                "otlp": {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"},
                "sentry": {"COMPARE_SENTRY_DSN": f"http://key@127.0.0.1:{port}/1"},
                "": {},
            }[self.upstream.sink]
            return {"TELEMETRY_MODE": "off", **self.upstream.environment, **endpoint}
        if self.route is None:
            return {"TELEMETRY_MODE": "off"}
        env = self.route.env_for(port, port)
        if not self.sends_logs:
            del env["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"]  # logs then go to standard output
        return env


OFF = Variant("off", "off", None)
CONTROL = Variant("off-control", "off again (control)", None)
"""The same as `off`: any difference between the two is the noise of the machine."""
VARIANTS: dict[str, Variant] = {
    variant.key: variant
    for variant in (
        OFF,
        Variant("collector-grpc", "collector, gRPC", Route("collector", "grpc")),
        Variant("collector-http", "collector, HTTP", Route("collector", "http/protobuf")),
        Variant("direct", "direct", Route("direct", "http/protobuf")),
        Variant("direct-stdout", "direct, logs on stdout", Route("direct", "http/protobuf"), sends_logs=False),
        Variant("contrib", "OpenTelemetry contrib", None, upstream=CONTRIB),
        Variant("contrib-direct", "contrib, Prometheus reader", None, upstream=CONTRIB_DIRECT),
        Variant("django-prometheus", "django-prometheus", None, upstream=DJANGO_PROMETHEUS),
        Variant("sentry", "Sentry SDK", None, upstream=SENTRY),
    )
}
DEFAULT_VARIANTS = tuple(VARIANTS)
QUICK_VARIANTS = ("off", "collector-grpc", "direct", "contrib")
CONDITIONS_VARIANTS = QUICK_VARIANTS
"""Those of the scenario conditions."""
