"""The policy of each attribute: which values are kept, which are hidden, and which are redacted as texts.

The names are those of the semantic conventions for HTTP, databases and exceptions
(https://opentelemetry.io/docs/specs/semconv/registry/attributes/), and those common in `extra=` of log calls.
"""

import re
from enum import Enum
from functools import lru_cache

from telemetry.privacy.names import is_secret


class Policy(Enum):
    """The treatment of an attribute's value."""

    KEEP = "it comes from a set that is known: the value stays"
    HIDE = "whatever it is, it goes"
    PATH = "segments stay that the route has too, and numbers and UUIDs"
    URL = "without user, password and query"
    SQL = "without literals"
    STACK = "as free text, with more room"
    TEXT = "as free text"


_KEPT = frozenset(
    {
        # Of the resource, set by the operator; long identifiers may look like tokens.
        "cloud.account.id",
        "container.id",
        "container.image.id",
        "host.id",
        "host.name",
        "k8s.pod.name",
        "k8s.pod.uid",
        "service.instance.id",
        "service.version",
        "vcs.ref.head.revision",
        # Of spans and log records.
        "code.function.name",
        "code.line.number",
        "db.collection.name",
        "db.operation.name",
        "db.response.status_code",
        "db.system",
        "db.system.name",
        "error.type",
        "exception.escaped",
        "exception.type",
        "gen_ai.token.type",
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "http.scheme",
        "http.status_code",
        "network.protocol.name",
        "network.protocol.version",
        "network.transport",
        "network.type",
        "otel.dropped_attributes_count",
        "server.port",
        "url.scheme",
    }
)
_NAMED: dict[str, Policy] = {
    **dict.fromkeys(_KEPT, Policy.KEEP),
    **dict.fromkeys(("url.path", "http.target"), Policy.PATH),
    **dict.fromkeys(("url.full", "http.url", "http.referer", "http.request.header.referer"), Policy.URL),
    **dict.fromkeys(("db.query.text", "db.statement", "sql"), Policy.SQL),
    **dict.fromkeys(
        ("url.query", "url.fragment", "params", "db.user", "user", "http.request.method_original"), Policy.HIDE
    ),
    **dict.fromkeys(("exception.stacktrace", "code.stacktrace"), Policy.STACK),
    "user_agent.original": Policy.TEXT,
}
_HEADERS_SHOWN = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "content-length",
        "content-type",
        "retry-after",
        "user-agent",
        "x-request-id",
    }
)
_HEADER = re.compile(r"http\.(?:request|response)\.header\.(.+)")
_LONGEST = 512  # a longer key is exported without the rest, which is ignored here, too
# In addition to secrets, names of personal data, for which free text has its own rules.
_PERSONAL = re.compile(
    r"e-?mail|user_?name|\blogin|account|^enduser|^user\.(?:id|name|full_name|hash|roles)|query[._-]?string|query\.parameter"
)


@lru_cache(maxsize=2048)
def policy_of(key: str) -> Policy:
    """Return the policy of the attribute `key`."""
    key = key[:_LONGEST]
    lowered = key.lower()
    known = _NAMED.get(lowered)
    if known is not None:
        return known
    header = _HEADER.fullmatch(lowered)
    if header:
        return Policy.TEXT if header[1].replace("_", "-") in _HEADERS_SHOWN else Policy.HIDE
    return Policy.HIDE if is_secret(key) or _PERSONAL.search(lowered) else Policy.TEXT
