"""The attributes of a request's server span and metrics, from its record.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from functools import lru_cache
from http import HTTPStatus
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.http import detect_synthetic_user_agent

from telemetry.journal.records import OTHER_METHOD, SEPARATOR

SERVER = SpanKind.SERVER.value
_LONGEST_PORT = 5  # digits
_OK, _ERROR = StatusCode.OK.value, StatusCode.ERROR.value


def name_of(method: str, route: str | None) -> str:
    """Return a request span's name."""
    named = "HTTP" if method == OTHER_METHOD else method
    return named if route is None else f"{named} {route}"


def answer(route: str | None, status: int, error: str | None) -> dict[str, Any]:
    """Return the attributes from the response, the same for the span and the duration metric."""
    attributes: dict[str, Any] = {"http.response.status_code": status} if status else {}
    if route is not None:
        attributes["http.route"] = route
    if error:
        attributes["error.type"] = error
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attributes["error.type"] = str(status)
    return attributes


def start(method: str, environ: tuple[str, str, str]) -> dict[str, Any]:
    """Return the attributes known at a request's start; `environ` as in its record."""
    common, client_port, path = environ
    domain, given, original, host, address, agent, port, protocol, scheme = common.split(SEPARATOR)
    known = {
        "http.request.method": method,
        "http.request.method_original": "" if original == method else original.strip(),
        "url.scheme": scheme,
        "server.address": domain,
        "server.port": port_of(port) if (of_host := port_of(given)) is None else of_host,
        "url.path": path,
        "client.address": host or address,
        "client.port": port_of(client_port),
        "user_agent.original": agent,
        "user_agent.synthetic.type": _synthetic(agent) if agent else None,
        "network.protocol.version": protocol.upper().removeprefix("HTTP/"),
    }
    return {key: value for key, value in known.items() if value is not None and value != ""}


def port_of(text: str) -> int | None:
    """Return the port in `text`, None for an invalid one."""
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_PORT else None


_synthetic = lru_cache(maxsize=256)(detect_synthetic_user_agent)


def status_of(status: int, error: str | None, touched: tuple[int, str | None] | None) -> tuple[int, str | None] | None:
    """Return a request span's status: the one set by user code, or ERROR for a failure that it did not set OK."""
    failed = bool(error) or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if touched is not None and (touched[0] == _OK or touched[0] == _ERROR or not failed):
        return touched
    return (_ERROR, None) if failed else None
