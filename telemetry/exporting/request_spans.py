"""A request's record as its server span and its metrics.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from functools import lru_cache
from http import HTTPStatus
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.http import detect_synthetic_user_agent

from telemetry.journal.records import OTHER_METHOD

SERVER = SpanKind.SERVER.value
_OK, _ERROR = StatusCode.OK.value, StatusCode.ERROR.value


def name_of(method: str, route: str | None) -> str:
    """Return a request span's name."""
    named = "HTTP" if method == OTHER_METHOD else method
    return named if route is None else f"{named} {route}"


def answer(route: str | None, status: int, error: str | None) -> dict[str, Any]:
    """Return what the answer adds: the same words for the span and its duration, and no others."""
    attributes: dict[str, Any] = {"http.response.status_code": status} if status else {}
    if route is not None:
        attributes["http.route"] = route
    if error:
        attributes["error.type"] = error
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attributes["error.type"] = str(status)
    return attributes


def start(method: str, environ: tuple[Any, ...]) -> dict[str, Any]:  # noqa: C901  (one line for each)
    """Return what is known of a request when it begins; `environ` is what the server said of it."""
    original, scheme, port, server, path, client, client_port, agent, protocol = environ
    attributes: dict[str, Any] = {"http.request.method": method}
    if original:
        attributes["http.request.method_original"] = original
    if scheme:
        attributes["url.scheme"] = scheme
    if port is not None:
        attributes["server.port"] = port
    if server:
        attributes["server.address"], given = server
        if given is not None:
            attributes["server.port"] = given
    if path:
        attributes["url.path"] = path
    if client:
        attributes["client.address"] = client
    if client_port is not None:
        attributes["client.port"] = client_port
    if agent:
        attributes["user_agent.original"] = agent
        if synthetic := _synthetic(agent):
            attributes["user_agent.synthetic.type"] = synthetic
    if protocol := protocol.upper().removeprefix("HTTP/"):
        attributes["network.protocol.version"] = protocol
    return attributes


_synthetic = lru_cache(maxsize=256)(detect_synthetic_user_agent)


def status_of(status: int, error: str | None, touched: tuple[int, str | None] | None) -> tuple[int, str | None] | None:
    """Return a request span's status: what user code set, but for a failure that it did not declare to be none."""
    failed = bool(error) or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if touched is not None and (touched[0] == _OK or touched[0] == _ERROR or not failed):
        return touched
    return (_ERROR, None) if failed else None
