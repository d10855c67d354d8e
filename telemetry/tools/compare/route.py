"""The ways from the service to a receiver of OTLP, and the set-ups that are compared."""

from dataclasses import dataclass
from typing import Literal

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

    @property
    def mode(self) -> str:
        """The value of TELEMETRY_MODE."""
        return self.route.mode if self.route else "off"

    @property
    def protocol(self) -> str:
        """The transport of OTLP, empty if none is used."""
        return self.route.protocol if self.route else ""

    def env(self, port: int) -> dict[str, str]:
        """Return the environment of a service that sends to `port` of the loopback address."""
        if self.route is None:
            return {"TELEMETRY_MODE": "off"}
        env = self.route.env_for(port, port)
        if not self.sends_logs:
            del env["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"]  # then they go to standard output
        return env


OFF = Variant("off", "off", None)
VARIANTS = {
    variant.key: variant
    for variant in (
        OFF,
        Variant("collector-grpc", "collector, gRPC", Route("collector", "grpc")),
        Variant("collector-http", "collector, HTTP", Route("collector", "http/protobuf")),
        Variant("direct", "direct", Route("direct", "http/protobuf")),
        Variant("direct-stdout", "direct, logs on stdout", Route("direct", "http/protobuf"), sends_logs=False),
    )
}
