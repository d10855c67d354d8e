"""The client address by which django-axes counts login attempts, and the name that it stores with them."""

import re
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

# Of django-axes' column; no account has a longer name.
_LONGEST_NAME = 255

LOCKED_OUT = "Too many failed log-ins from this address; try again later."
"""The detail of the response to a locked-out attempt, whose password is not checked."""

_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[(.*)\](?::[0-9]+)?")

_IPV6_PREFIX = 64
"""Bits of the network that a single customer usually controls."""


def attempted_name(_request: HttpRequest, credentials: Mapping[str, str] | None = None) -> str | None:
    """Return the name of an attempt, as much of it as the database takes: the form's own limit is the browser's."""
    name = (credentials or {}).get("username")
    return name if name is None else name[:_LONGEST_NAME]


def client_address(request: HttpRequest) -> str | None:
    """Return the address by which attempts are counted, or None without one (a Unix socket without a proxy).

    Behind a proxy, it is the last one in X-Forwarded-For, added by the proxy; a client can forge the others.
    Some proxies add the client's port: `192.0.2.1:443`, `[2001:db8::1]:443`.
    """
    if settings.BEHIND_PROXY:
        _, _, last = request.headers.get("X-Forwarded-For", "").rpartition(",")
        if address := _network(last.strip()):
            return address
    return _network(request.META.get("REMOTE_ADDR", ""))


def _network(text: str) -> str | None:
    without_port = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((without_port[1] or without_port[2] if without_port else text).partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, _IPV6_PREFIX), strict=False).network_address)
    return str(address)
