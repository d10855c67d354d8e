"""Which hosts a comparison may send load and faults to: this machine and the project's own Compose network."""

import ipaddress
import socket
from urllib.parse import urlsplit

COMPOSE_SERVICES = frozenset(
    {"alloy", "db", "grafana", "jaeger", "loki", "postgres", "postgresql", "prometheus", "tempo", "user-api"}
)


class TargetError(Exception):
    """A target that a comparison must not load; the message is one line."""


def check_target(option: str, url: str) -> None:
    """Raise TargetError unless the host of `url` is loopback, a Unix socket, or a service of the Compose network.

    Compose resolves its services' names to private addresses; a public address under such a name is refused.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = "?"
    if not host:
        return
    try:
        addresses = {ipaddress.ip_address(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        raise TargetError(f"{option}: {host!r} has no address") from None
    if all(address.is_loopback for address in addresses):
        return
    if host in COMPOSE_SERVICES and all(address.is_private for address in addresses):
        return
    raise TargetError(
        f"{option}: {host!r} is neither this machine nor a service of the project's Compose network, and a comparison "
        "loads what it is given; --allow-remote allows it"
    )
