"""Transports of OTLP requests: to a backend over HTTP or gRPC, or to standard output.

A transport takes bytes and a deadline for the whole exchange, and returns an `Answer`; it neither retries nor counts.
"""

from typing import Protocol

from telemetry.config import Signal, SignalConfig
from telemetry.exporting.transports.answers import Answer

__all__ = ["Answer", "Transport", "make_transport"]


class Transport(Protocol):
    """The way to one backend for one signal, for one thread."""

    def send(self, data: bytes, deadline: float) -> Answer:
        """Send one export request; return its outcome by `deadline` (of `time.monotonic`). Never raises."""
        ...

    def close(self) -> None:
        """Abort the current request, from any thread; later ones are answered as unavailable."""
        ...


def make_transport(config: SignalConfig, signal: Signal) -> Transport:
    """Return the transport for `config`. Raises OSError or ValueError for certificates that cannot be used.

    Imports only this one, as gRPC costs the process 12 MiB.
    """
    if config.exporter == "console":
        from telemetry.exporting.transports.standard_output import StandardOutput

        return StandardOutput(signal)
    if config.protocol == "grpc":
        from telemetry.exporting.transports.otlp_grpc import GrpcTransport

        return GrpcTransport(config, signal)
    from telemetry.exporting.transports.otlp_http import HttpTransport

    return HttpTransport(config, signal)
