"""The ports of the demo, all on the loopback address."""

import argparse
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

HOST = "127.0.0.1"

Mode = Literal["collector", "direct"]
MODES: tuple[Mode, ...] = ("collector", "direct")


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port that the demo may listen on; `offset` moves all of them."""

    offset: int = 0

    @property
    def collector(self) -> int:
        """Of the service in collector mode."""
        return 8080 + self.offset

    @property
    def direct(self) -> int:
        """Of the service in direct mode."""
        return 8081 + self.offset

    @property
    def greeter(self) -> int:
        """Of the greeter, which the service calls."""
        return 8082 + self.offset

    @property
    def otlp_grpc(self) -> int:
        """Of the console, for OTLP over gRPC."""
        return 4317 + self.offset

    @property
    def otlp_http(self) -> int:
        """Of the console, for OTLP over HTTP."""
        return 4318 + self.offset

    @property
    def console(self) -> int:
        """Of the console's pages and JSON API."""
        return 3000 + self.offset

    def service(self, mode: Mode) -> int:
        """Of the service in `mode`."""
        return self.collector if mode == "collector" else self.direct

    def of_others(self) -> dict[int, str]:
        """What console and greeter listen on, and for what."""
        return {
            self.console: "the console",
            self.otlp_grpc: "OTLP over gRPC",
            self.otlp_http: "OTLP over HTTP",
            self.greeter: "the greeter",
        }

    def of_service(self, mode: Mode) -> dict[int, str]:
        """What the service in `mode` listens on."""
        return {self.service(mode): f"the service in {mode} mode"}

    def used(self, modes: Sequence[Mode]) -> dict[int, str]:
        """Every port that a demo of `modes` listens on, and for what."""
        return {port: use for mode in modes for port, use in self.of_service(mode).items()} | self.of_others()


MAX_OFFSET = 65535 - Ports().greeter


def port_offset(text: str) -> int:
    """Read the value of --port-offset; raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MAX_OFFSET):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"invalid value {text!r}; expected a whole number from 0 to {MAX_OFFSET}")
    return int(text)


def busy_port(ports: dict[int, str]) -> str | None:
    """Return the error for the first port that is in use, None if all are free."""
    for port, use in ports.items():
        with socket.socket() as probe:
            # A port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                return f"port {port} for {use} is busy ({error.strerror}); --port-offset N moves every port by N"
    return None
