"""The path to an OTLP receiver, below OTLP: its name, a connection, TLS, and the protocol of its port."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from threading import Thread
from typing import Literal
from urllib.parse import urlsplit

import requests

from telemetry.config import Signal, SignalConfig
from telemetry.config.endpoint import OTLP_GRPC_PORT, OTLP_HTTP_PORT
from telemetry.tools.backends.names import unresolved_remedy
from telemetry.tools.doctor.walk import Finding, HopError, State

Spoken = Literal["gRPC", "HTTP", "TLS", "nothing"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_GET = b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"
# https://www.rfc-editor.org/rfc/rfc9113#name-http-2-connection-preface, with an empty SETTINGS frame
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4
_FRAME_HEADER = 9
_TLS_ALERT = b"\x15\x03"
_ANSWER_BYTES = 512
_MOST_ADDRESSES = 4


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where some signals are sent; `variable` is the one that sets it."""

    host: str
    port: int
    config: SignalConfig
    signals: tuple[Signal, ...]
    variable: str

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        return self.host in {"localhost", "127.0.0.1", "::1"}

    @property
    def hint_of_containers(self) -> str:
        return " (inside a container, localhost is the container itself)" if self.is_local else ""


def receivers(signals: Mapping[Signal, SignalConfig], variables: Mapping[Signal, str]) -> list[Receiver]:
    """Return the distinct receivers of the signals that are exported by OTLP."""
    found: dict[tuple[str, int, bool, str], Receiver] = {}
    for signal, config in signals.items():
        parts = urlsplit(config.endpoint)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
        key = host, port, config.insecure, config.protocol
        known = found.get(key, Receiver(host, port, config, (), variables[signal]))
        found[key] = replace(known, config=config, signals=(*known.signals, signal))
    return list(found.values())


def port_offset(found: Sequence[Receiver]) -> int:
    """Return by how much all local receivers' ports differ from the usual ones; 0 if they disagree."""
    usual = {"grpc": OTLP_GRPC_PORT, "http/protobuf": OTLP_HTTP_PORT}
    offsets = {receiver.port - usual[receiver.config.protocol] for receiver in found if receiver.is_local}
    (offset,) = offsets if len(offsets) == 1 else (0,)
    return max(offset, 0)


def proxy_between(receiver: Receiver) -> str | None:
    """Return the variable of the proxy that the exporters use for a receiver, None if they use none."""
    scheme = "http" if receiver.config.insecure else "https"
    proxies = requests.utils.get_environ_proxies(f"{scheme}://{receiver.address}")
    return next((f"{kind.upper()}_PROXY" for kind in (scheme, "all") if kind in proxies), None)


def addresses_of(host: str) -> set[str]:
    """Return the IP addresses of a host, one for all of loopback; none if the name does not resolve."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return set()
    return {"127.0.0.1" if ip_address(one).is_loopback else one for one in found}


def is_own(address: str) -> bool:
    """Return whether an IP address is one of this machine's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def resolve(receiver: Receiver, timeout: float) -> Finding:
    """Resolve the receiver's name."""
    found: list[str] = []
    errors: list[OSError] = []

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(receiver.host, receiver.port, type=socket.SOCK_STREAM)
        except OSError as error:
            errors.append(error)
        else:
            found.extend(dict.fromkeys(str(entry[4][0]) for entry in entries))

    # The resolver has time-outs of its own, of many seconds.
    thread = Thread(target=ask, name="doctor-resolver", daemon=True)
    thread.start()
    thread.join(timeout)
    if found:
        more = f" and {len(found) - _MOST_ADDRESSES} more" if len(found) > _MOST_ADDRESSES else ""
        return Finding(", ".join(found[:_MOST_ADDRESSES]) + more)
    reason = errors[0].strerror if errors and errors[0].strerror else f"no answer within {timeout:g} s"
    raise HopError(
        f"the name {receiver.host} cannot be resolved: {reason}", unresolved_remedy(receiver.host, receiver.variable)
    )


def connect(receiver: Receiver, timeout: float) -> Finding:
    """Open a connection to the receiver's port."""
    try:
        with socket.create_connection((receiver.host, receiver.port), timeout) as connection:
            return Finding(f"connected to {connection.getpeername()[0]}")
    except TimeoutError:
        raise HopError(
            f"no connection within {timeout:g} s",
            f"check firewalls, and the host and port in {receiver.variable}",
        ) from None
    except OSError as error:
        raise HopError(
            f"{(error.strerror or type(error).__name__).lower()}",
            f"start the receiver at {receiver.address}{receiver.hint_of_containers}, or correct the host and port in "
            f"{receiver.variable}",
        ) from None


def handshake(receiver: Receiver, timeout: float) -> Finding:
    """Make a TLS connection as the exporter does: with the same authorities and the same client certificate."""
    config = receiver.config
    context = ssl.create_default_context(cafile=config.certificate)
    if config.client_certificate:
        context.load_cert_chain(config.client_certificate, config.client_key)
    context.set_alpn_protocols(["h2"] if config.protocol == "grpc" else ["http/1.1"])
    try:
        with (
            socket.create_connection((receiver.host, receiver.port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=receiver.host) as connection,
        ):
            version, chosen = connection.version(), connection.selected_alpn_protocol()
    except ssl.SSLCertVerificationError as error:
        raise HopError(
            f"the certificate is not accepted: {error.verify_message}",
            _certificate_remedy(receiver, error),
        ) from None
    except (ssl.SSLError, OSError) as error:
        if _spoken(receiver, _GET, timeout) in {"HTTP", "gRPC"}:
            raise HopError(
                "the receiver speaks plaintext, but TLS is configured",
                f"use http:// instead of https:// in {receiver.variable}, or give the receiver a certificate",
            ) from None
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise HopError(
            f"no TLS connection: {reason}", "see the receiver's log; it may require a client certificate"
        ) from None
    if config.protocol == "grpc" and chosen != "h2":
        raise HopError(
            f"{version}, but no HTTP/2, which gRPC needs",
            f"use the port for gRPC in {receiver.variable}, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        )
    return Finding(f"{version}, certificate accepted")


def protocol(receiver: Receiver, timeout: float) -> Finding:
    """Find out which protocol a port speaks that is configured as plaintext."""
    wanted: Spoken = "gRPC" if receiver.config.protocol == "grpc" else "HTTP"
    spoken = _spoken(receiver, _PREFACE if wanted == "gRPC" else _GET, timeout)
    if spoken == wanted:
        return Finding(f"the port speaks {spoken}")
    if spoken == "TLS" or (spoken == "nothing" and _takes_tls(receiver, timeout)):
        raise HopError(
            "the receiver expects TLS, but the endpoint is plaintext",
            f"put https:// in front of the host in {receiver.variable} "
            "(and set OTEL_EXPORTER_OTLP_CERTIFICATE for your own certificate authority)",
        )
    if spoken == "nothing":
        return Finding(
            f"no answer to {wanted} or TLS within {timeout:g} s",
            State.WARNING,
            f"check that an OTLP receiver listens at {receiver.address}",
        )
    right = {"gRPC": "grpc", "HTTP": "http/protobuf"}[spoken]
    port = {"gRPC": OTLP_GRPC_PORT, "HTTP": OTLP_HTTP_PORT}[wanted]
    raise HopError(
        f"the port speaks {spoken}, but {wanted} is configured",
        f"set OTEL_EXPORTER_OTLP_PROTOCOL={right}, or use the port for {wanted} (usually {port}) in "
        f"{receiver.variable}",
    )


def _certificate_remedy(receiver: Receiver, error: ssl.SSLCertVerificationError) -> str:
    if "mismatch" in error.verify_message or "not valid for" in error.verify_message:
        return f"use a host name in {receiver.variable} that the certificate is valid for"
    return "set OTEL_EXPORTER_OTLP_CERTIFICATE to the certificate file of the authority that signed it"


def _spoken(receiver: Receiver, question: bytes, timeout: float) -> Spoken:
    """Return which protocol the answer to the first bytes of a plaintext protocol looks like."""
    if question is _GET:
        question = _GET % receiver.address.encode()
    try:
        with socket.create_connection((receiver.host, receiver.port), timeout) as connection:
            connection.sendall(question)
            answer = connection.recv(_ANSWER_BYTES)
    except OSError:
        return "nothing"
    # Go's servers answer this in plaintext, others with an alert.
    if answer.startswith(_TLS_ALERT) or b"HTTPS server" in answer or b"plain HTTP request was sent to HTTPS" in answer:
        return "TLS"
    if answer.startswith(b"HTTP/"):
        return "HTTP"
    return "gRPC" if len(answer) >= _FRAME_HEADER and answer[3] == _SETTINGS else "nothing"


def _takes_tls(receiver: Receiver, timeout: float) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # this only checks whether the port speaks TLS; nothing is sent
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((receiver.host, receiver.port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=receiver.host),
        ):
            return True
    except ssl.SSLError as error:
        # An alert is TLS, too: the server may require a client certificate.
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
