"""The address of an OTLP receiver, from `OTEL_EXPORTER_OTLP_ENDPOINT` and its forms for one signal."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

from telemetry.config.values import MASK, Parser, RefusalError, Signal

OTLP_GRPC_PORT = 4317
OTLP_HTTP_PORT = 4318
_HTTPS_PORT = 443
_HIGHEST_PORT = 65535
_ADDRESS = re.compile(r"(?P<host>\[[^\]/]+\]|[^:/\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/.*)?)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_USERINFO = re.compile(r".*(@|%40)", re.DOTALL)
_QUERY = re.compile(r"([?#]).*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a receiver. `scheme` and `port` are None if missing in the text; `path` is "" for none or "/"."""

    scheme: str | None
    host: str
    port: int | None
    path: str

    @property
    def looks_like_http(self) -> bool:
        """Whether the port or a path indicates OTLP over HTTP."""
        return self.port == OTLP_HTTP_PORT or bool(self.path)

    def is_plaintext(self, *, insecure: bool | None) -> bool:
        """Return whether the connection uses no TLS; `insecure` (None: not set) applies only without a scheme."""
        return self.scheme == "http" if self.scheme else insecure is not False

    def grpc_target(self, *, insecure: bool | None) -> str:
        """Return `scheme://host:port`; the default port is OTLP's, or that of HTTPS after `https://`."""
        port = self.port or (_HTTPS_PORT if self.scheme == "https" else OTLP_GRPC_PORT)
        return f"{self._effective_scheme(insecure)}://{self.host}:{port}"

    def http_url(self, *, insecure: bool | None, base_of: Signal | None) -> str:
        """Return the URL to post to: unchanged, or with `/v1/<signal>` appended to the base URL of a signal."""
        port = self.port or (None if self.scheme else OTLP_HTTP_PORT)
        authority = f"{self.host}:{port}" if port else self.host
        path = f"{self.path.removesuffix('/')}/v1/{base_of}" if base_of else self.path or "/"
        return f"{self._effective_scheme(insecure)}://{authority}{path}"

    def _effective_scheme(self, insecure: bool | None) -> str:
        return "http" if self.is_plaintext(insecure=insecure) else "https"


class EndpointParser(Parser[Endpoint]):
    """A URL or `host:port`, without secrets."""

    accepted = "http://host:port, https://host:port or host:port, with a path for HTTP"

    def __call__(self, text: str) -> Endpoint:
        if not text.isprintable() or " " in text:
            raise RefusalError("contains spaces or unprintable characters")
        scheme, separator, rest = text.partition("://") if "://" in text else ("", "", text)
        if separator and scheme.lower() not in {"http", "https"}:
            raise RefusalError("has neither http nor https as its scheme")
        if "@" in rest:
            raise RefusalError("contains a user or password, which belongs in OTEL_EXPORTER_OTLP_HEADERS")
        if "?" in rest or "#" in rest:
            raise RefusalError("contains a query or fragment")
        host, port, path = _split(rest)
        return Endpoint(scheme.lower() or None, host, port, "" if path == "/" else path)

    def mask(self, text: str) -> str:
        scheme = match[0] if (match := _SCHEME.match(text)) else ""
        rest = text.removeprefix(scheme)
        if _USERINFO.search(rest) and _QUERY.search(rest):
            # Either may be inside the other, so no part is known to be harmless.
            return f"{scheme}{MASK}"
        return scheme + _QUERY.sub(rf"\1{MASK}", _USERINFO.sub(f"{MASK}@", rest))


def _split(rest: str) -> tuple[str, int | None, str]:
    match = _ADDRESS.fullmatch(rest)
    if not match or not 1 <= int(match["port"] or 1) <= _HIGHEST_PORT:
        raise RefusalError(f"has no host or no port from 1 to {_HIGHEST_PORT}")
    return _checked_host(match["host"].lower()), int(match["port"]) if match["port"] else None, match["path"]


def _checked_host(host: str) -> str:
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            raise RefusalError("has an invalid IPv6 address") from None
    # Service names of Docker Compose may contain underscores.
    if not re.fullmatch(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?", host):
        raise RefusalError("has an invalid host name")
    return host
