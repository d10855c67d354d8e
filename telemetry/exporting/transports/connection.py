"""A persistent HTTP connection to one address that another thread can abort: the client of OTLP over HTTP.

It uses urllib3, which costs half as much as requests (`python -m tests.benchmarks.posts`) and does not read ~/.netrc,
which would replace the configured credentials. Proxies come from the environment, read once.
"""

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPResponse
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from telemetry.config import SignalConfig
from telemetry.journal.forks import close_in_children

_LONGEST_BODY = 64 * 1024
# urllib3 gives each address of a host the whole timeout, so a dead one would leave no time for the next. With a single
# retry, Linux gives it up after 3 s. This does not limit what follows: a proxy's CONNECT, TLS and the request.
_TRIES = [(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)] if hasattr(socket, "TCP_SYNCNT") else []


class KeptConnection:
    """Posts to `config.endpoint`. Raises OSError or ValueError for certificates or a proxy that cannot be used."""

    def __init__(self, config: SignalConfig) -> None:
        self._url = config.endpoint
        self._current: Any = None
        self._socket: Any = None
        self._fresh = False
        parts = urlsplit(config.endpoint)
        options: dict[str, Any] = {"maxsize": 1, "retries": False}
        options["socket_options"] = [*HTTPConnection.default_socket_options, *_TRIES]
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=config.certificate)
            if config.client_certificate:
                context.load_cert_chain(config.client_certificate, config.client_key)
            options["ssl_context"] = context
        self._manager = _manager(parts, options)
        self._manager.pool_classes_by_scheme = self._pool_classes()
        self._client: Any = self._manager
        self._target = config.endpoint
        if self._manager.proxy is None:  # using the pool directly saves the manager's work
            self._client = self._manager.connection_from_url(config.endpoint)
            self._target = parts.path or "/"

    def _pool_classes(self) -> Any:
        """Return classes for urllib3's pools whose connections register themselves here when used."""
        kept = self

        class Noted:
            response_class: type[HTTPResponse] = _FinalResponse
            sock: Any

            def connect(self) -> None:
                kept._current, kept._fresh = self, True
                super().connect()  # type: ignore[misc]
                kept._socket = self.sock
                if isinstance(self.sock, socket.socket):  # else TLS within TLS
                    close_in_children(self.sock)

            def request(self, *args: Any, **kwargs: Any) -> None:
                kept._current, kept._socket = self, self.sock
                super().request(*args, **kwargs)  # type: ignore[misc]

        class Plain(Noted, HTTPConnection):
            pass

        class Encrypted(Noted, HTTPSConnection):
            pass

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Encrypted

        return {"http": PlainPool, "https": EncryptedPool}

    @property
    def is_fresh(self) -> bool:
        """Whether the last request was the first on its connection."""
        return self._fresh

    def post(
        self, data: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, Mapping[str, str], bytes | None]:
        """Return status, headers and the beginning of the body, None if it cannot be decoded.

        Raises urllib3's errors, except those of reading the body of a failure, whose status suffices.
        """
        self._fresh = False
        response = self._client.urlopen(
            "POST",
            self._target,
            body=data,
            headers=headers,
            timeout=urllib3.Timeout(connect=timeout, read=timeout),
            redirect=False,
            retries=False,
            preload_content=False,
        )
        try:
            body: bytes | None = response.read(_LONGEST_BODY)
        except urllib3.exceptions.DecodeError:
            body = None
        except urllib3.exceptions.HTTPError:
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                response.close()
                raise
            body = None
        except BaseException:
            response.close()
            raise
        if body is None or len(body) == _LONGEST_BODY:
            response.close()
        response.release_conn()
        return response.status, response.headers, body

    def cut(self) -> None:
        """Make the current exchange fail at once; to be called from another thread."""
        # For a response without a length, the connection no longer references the socket.
        end: Any = getattr(self._current, "sock", None) or self._socket
        end = getattr(end, "socket", end)  # of TLS within TLS
        with suppress(Exception):
            # Not a TLS socket's own method, which would drop the TLS state that the other thread is using.
            socket.socket.shutdown(end, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._manager.clear()
        if self._client is not self._manager:
            self._client = self._manager.connection_from_url(self._url)


class _FinalResponse(HTTPResponse):
    """A response without the interim ones before it (RFC 9110, 15.2), of which `http.client` skips only 100."""

    def begin(self) -> None:
        super().begin()
        while self.status < HTTPStatus.OK:
            self.headers = None  # type: ignore[assignment]  # as before the first
            super().begin()


def _manager(endpoint: SplitResult, options: dict[str, Any]) -> urllib3.PoolManager:
    proxies = getproxies()
    proxy = proxies.get(endpoint.scheme) or proxies.get("all")
    if not proxy or _bypasses(endpoint, proxies.get("no", "")):
        return urllib3.PoolManager(**options)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    headers = urllib3.make_headers(proxy_basic_auth=credentials) if parts.username else None
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)


def _bypasses(endpoint: SplitResult, no_proxy: str) -> bool:
    """Return whether NO_PROXY names the endpoint: its host, with or without its port, or a network of its address."""
    host, address = endpoint.hostname or "", endpoint.netloc.rpartition("@")[2]
    if proxy_bypass(host) or proxy_bypass(address):
        return True
    for network in no_proxy.split(","):
        with suppress(ValueError):  # a name
            if ip_address(host) in ip_network(network.strip(), strict=False):
                return True
    return False
