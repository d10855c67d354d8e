"""The export of each signal: its exporter, depending on the mode, and the destination and protocol of OTLP."""

import re
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeVar

from telemetry.config import exporters, variables
from telemetry.config.endpoint import OTLP_GRPC_PORT, OTLP_HTTP_PORT, Endpoint
from telemetry.config.reader import Environment, Variable, derived_from
from telemetry.config.values import Exporter, Mode, Pairs, Protocol, Signal

T = TypeVar("T")

_LOCALHOST: dict[Protocol, Endpoint] = {
    "grpc": Endpoint("http", "localhost", OTLP_GRPC_PORT, ""),
    "http/protobuf": Endpoint("http", "localhost", OTLP_HTTP_PORT, ""),
}
_PORT_OF_THE_OTHER: dict[Protocol, int] = {"grpc": OTLP_HTTP_PORT, "http/protobuf": OTLP_GRPC_PORT}
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: "-bin" requires bytes, "grpc-" is reserved.
_METADATA_KEY = re.compile(r"(?!grpc-)[a-z0-9_.-]+(?<!-bin)")


@cache
def has_grpc() -> bool:
    """Return whether gRPC is installed, which is an extra."""
    return find_spec("grpc") is not None


class OTLPReader:
    """Reads one signal's variables: for each value the signal's own form if that is set, else the general one."""

    def __init__(self, environment: Environment, mode: Mode, signal: Signal) -> None:
        self._environment = environment
        self._mode = mode
        self._signal = signal

    def read(self) -> dict[str, Any]:
        """Return the fields of the signal's `SignalConfig`."""
        exporter = self._exporter()
        given = self._value(variables.ENDPOINT)
        protocol = self._protocol(given)
        if exporter == "otlp" and protocol == "grpc" and not has_grpc():
            self._refuse_grpc()
        endpoint = given or _LOCALHOST[protocol]
        insecure = self._value(variables.INSECURE)
        if endpoint.scheme:
            self._sources("insecure", derived_from(self._environment.sources[f"{self._signal}.endpoint"]))
        fields = {
            "exporter": exporter,
            "endpoint": self._address(endpoint, protocol, insecure),
            "protocol": protocol,
            "headers": self._headers(protocol),
            "timeout": self._value(variables.TIMEOUT),
            "compression": self._value(variables.COMPRESSION),
            "insecure": endpoint.is_plaintext(insecure=insecure),
            "certificate": self._value(variables.CERTIFICATE),
            "client_key": self._value(variables.CLIENT_KEY),
            "client_certificate": self._value(variables.CLIENT_CERTIFICATE),
        }
        self._refuse_half_a_client_certificate()
        if exporter == "otlp":
            self._doubt_address(endpoint, protocol)
            self._doubt_encryption(endpoint, insecure)
        return fields

    def _value(self, variable: Variable[T]) -> T:
        field = variable.field.format(signal=self._signal)
        return self._environment.value(field, variable.for_signal(self._signal), variable)

    def _deciding(self, variable: Variable[T]) -> Variable[T]:
        own = variable.for_signal(self._signal)
        return own if self._environment.text(own) else variable

    def _is_set(self, variable: Variable[Any]) -> bool:
        return self._environment.text(self._deciding(variable)) is not None

    def _sources(self, field: str, source: str) -> None:
        self._environment.sources[f"{self._signal}.{field}"] = source

    def _exporter(self) -> Exporter:
        environment, variable = self._environment, exporters.EXPORTERS[self._signal]
        rule = exporters.EXPORTER_RULES[self._mode][self._signal]
        wanted = environment.given(variable)
        if wanted is not None and wanted not in rule.accepted:
            environment.refuse(variable, exporters.PROMETHEUS_ELSEWHERE, ", ".join(rule.accepted))
        if wanted is not None and not rule.forced:
            self._sources("exporter", environment.named(variable))
            return wanted
        own_endpoint = variables.ENDPOINT.for_signal(self._signal)
        if rule.default_with_own_endpoint and environment.text(own_endpoint):
            self._sources("exporter", derived_from(environment.named(own_endpoint)))
            return rule.default_with_own_endpoint
        self._sources("exporter", derived_from(environment.sources["mode"]))
        return rule.default

    def _protocol(self, endpoint: Endpoint | None) -> Protocol:
        protocol = self._value(variables.PROTOCOL)
        if protocol:
            return protocol
        self._sources("protocol", derived_from(self._environment.sources[f"{self._signal}.endpoint"]))
        return "http/protobuf" if (endpoint.looks_like_http if endpoint else not has_grpc()) else "grpc"

    def _refuse_grpc(self) -> None:
        protocol, endpoint = self._deciding(variables.PROTOCOL), self._deciding(variables.ENDPOINT)
        self._environment.refuse(
            protocol if self._is_set(variables.PROTOCOL) else endpoint,
            "selects gRPC, whose package grpcio is not installed",
            "pip install 'django-otel-journal[grpc]', or http/protobuf, usually on port 4318",
        )

    def _address(self, endpoint: Endpoint, protocol: Protocol, insecure: bool | None) -> str:
        if protocol == "http/protobuf":
            return endpoint.http_url(insecure=insecure, base_of=self._signal if self._has_base_url() else None)
        if endpoint.path:
            name = self._deciding(variables.PROTOCOL).name
            self._environment.refuse(
                self._deciding(variables.ENDPOINT),
                f"has a path, which gRPC does not support ({name}=grpc)",
                "host and port only, or the protocol http/protobuf",
            )
        return endpoint.grpc_target(insecure=insecure)

    def _has_base_url(self) -> bool:
        return self._deciding(variables.ENDPOINT) == variables.ENDPOINT

    def _headers(self, protocol: Protocol) -> Pairs:
        headers = self._value(variables.HEADERS)
        if protocol == "grpc" and not all(_METADATA_KEY.fullmatch(name) for name, _ in headers):
            self._environment.refuse(
                self._deciding(variables.HEADERS),
                "has a name that gRPC does not accept",
                "names of a-z, 0-9, '-', '_' and '.', without 'grpc-' at the start or '-bin' at the end",
            )
        return headers

    def _refuse_half_a_client_certificate(self) -> None:
        key, certificate = variables.CLIENT_KEY, variables.CLIENT_CERTIFICATE
        if self._is_set(key) == self._is_set(certificate):
            return
        given, missing = (key, certificate) if self._is_set(key) else (certificate, key)
        self._environment.refuse(self._deciding(given), "is set alone", f"together with {missing.name}")

    def _doubt_address(self, endpoint: Endpoint, protocol: Protocol) -> None:
        variable = self._deciding(variables.ENDPOINT)
        if endpoint.port == _PORT_OF_THE_OTHER[protocol]:
            self._environment.warn(variable, f"has a port that is rarely used for {protocol}")
        if protocol == "grpc" or not self._environment.text(variable):
            return
        if self._has_base_url() and re.search(r"/v1/(traces|metrics|logs)/?$", endpoint.path):
            self._environment.warn(variable, f"is a base URL, to which /v1/{self._signal} is appended")
        if not self._has_base_url() and not endpoint.path:
            self._environment.warn(variable, f"is used as is, without a path such as /v1/{self._signal}")

    def _doubt_encryption(self, endpoint: Endpoint, insecure: bool | None) -> None:
        plaintext = endpoint.is_plaintext(insecure=insecure)
        means = "plaintext" if plaintext else "TLS"
        if insecure is not None and insecure is not plaintext:
            self._environment.warn(
                self._deciding(variables.INSECURE), f"is not used: the endpoint's {endpoint.scheme}:// means {means}"
            )
        for variable in (variables.CERTIFICATE, variables.CLIENT_CERTIFICATE):
            if plaintext and self._is_set(variable):
                self._environment.warn(
                    self._deciding(variable), f"is not used for {self._signal}: the connection is in plaintext"
                )
