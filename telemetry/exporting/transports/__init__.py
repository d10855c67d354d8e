"""How a request of OTLP reaches its backend, over HTTP or gRPC, or standard output, and what the answer was.

A transport takes bytes and a deadline for the whole exchange, and returns an `Answer`; it neither retries nor counts.
"""

from typing import Protocol

from telemetry.config import Signal, SignalConfig
from telemetry.exporting.transports.answers import Answer

__all__ = ["Answer", "Transport", "make_transport"]


class Transport(Protocol):
    """The way to one backend for one signal, for one thread."""

    def send(self, data: bytes, deadline: float) -> Answer:
        """Send one export request; return what became of it by `deadline` (of `time.monotonic`). Never raises."""
        ...

    def close(self) -> None:
        """End what is on its way, from any thread; what is sent afterwards is answered as unavailable."""
        ...


def make_transport(config: SignalConfig, signal: Signal) -> Transport:
    """Return the transport that `config` asks for. Raises OSError or ValueError for certificates that cannot be used.

    Only this one is imported: gRPC costs the process 12 MiB.
    """
    if config.exporter == "console":
        from telemetry.exporting.transports.standard_output import StandardOutput

        return StandardOutput(signal)
    if config.protocol == "grpc":
        from telemetry.exporting.transports.otlp_grpc import GrpcTransport

        return GrpcTransport(config, signal)
    from telemetry.exporting.transports.otlp_http import HttpTransport

    return HttpTransport(config, signal)
