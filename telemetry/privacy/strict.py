"""What may leave at the strict level: only what comes from the code and its configuration, never from data.

Nothing here looks for secrets. An attribute leaves if its name is on the list and its value has the form that the name
promises; of a statement leave the operation and the tables, of an exception its type and its frames.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPMethod
from typing import Any

from telemetry.privacy.bounds import STACK_BYTES, cut_middle
from telemetry.privacy.sql import summary

Check = Callable[[Any], bool]

_WORD = re.compile(r"[A-Za-z_][\w.-]{0,127}", re.ASCII)
_TYPE = re.compile(r"[A-Za-z_][\w.<>]{0,254}", re.ASCII)
_CODE = re.compile(r"[0-9A-Z]{5}|[0-9]{1,6}|SQLITE_[A-Z_]{1,40}", re.ASCII)
_SUMMARY = re.compile(r"[A-Z]{2,12}(?: [A-Za-z_][\w$]{0,62}){0,8}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2})?", re.ASCII)
_HOST = re.compile(r"[\w.:/-]{1,255}", re.ASCII)
METHODS = frozenset((*HTTPMethod, "HTTP"))
"""What the name of a request's span may begin with."""
_LONGEST_ROUTE = 1024


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _form(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _one_of(*values: str) -> Check:
    known = frozenset(values)
    return lambda value: isinstance(value, str) and value in known


def _route(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_ROUTE and "@" not in value


_ALLOWED: dict[str, Check] = {
    **dict.fromkeys(
        (
            *("http.response.status_code", "http.status_code", "server.port", "code.line.number", "duration_ms"),
            *("http.server.request.duration", "db.response.returned_rows", "db.operation.batch.size"),
            *("otel.dropped_attributes_count", "exception.escaped", "worker.slot", "telemetry.dropped"),
        ),
        _number,
    ),
    **dict.fromkeys(
        (
            *("db.system", "db.system.name", "db.operation.name", "db.collection.name", "db.namespace"),
            *("service.version", "telemetry.mode", "code.function.name"),
        ),
        _form(_WORD),
    ),
    **dict.fromkeys(("error.type", "exception.type"), _form(_TYPE)),
    **dict.fromkeys(("http.request.method", "http.method"), _one_of(*HTTPMethod, "_OTHER")),
    **dict.fromkeys(("url.scheme", "http.scheme"), _one_of("http", "https")),
    **dict.fromkeys(("network.transport", "network.type"), _one_of("tcp", "udp", "unix", "ipv4", "ipv6")),
    "network.protocol.name": _one_of("http"),
    "network.protocol.version": _form(_VERSION),
    "http.route": _route,
    "db.query.summary": _form(_SUMMARY),
    "db.response.status_code": _form(_CODE),
    "user_agent.synthetic.type": _one_of("bot", "test"),
    "telemetry.traces": lambda value: isinstance(value, str),
    "telemetry.metrics": lambda value: isinstance(value, str),
    "telemetry.logs": lambda value: isinstance(value, str),
}
_STATEMENTS = frozenset({"db.query.text", "db.statement"})
_STACKS = frozenset({"exception.stacktrace", "code.stacktrace"})


def allowed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `attributes` that may leave."""
    result: dict[str, Any] = {}
    for key, value in attributes.items():
        check = _ALLOWED.get(key)
        if check is not None:
            if check(value):
                result[key] = value
        elif key in _STATEMENTS:
            if isinstance(value, str) and (text := statement(value)):
                result["db.query.summary"] = text
        elif key in _STACKS:
            message = attributes.get("exception.message")
            if isinstance(value, str) and (text := frames(value, message if isinstance(message, str) else "")):
                result[key] = text
        elif (
            key == "server.address"
            and "db.system.name" in attributes
            and isinstance(value, str)
            and _HOST.fullmatch(value)
        ):
            result[key] = value  # of a request it is what the client asked for
    return result


def span_name(name: str, attributes: Mapping[str, Any], *, constant: bool) -> str:
    """Return what a request or a query is called by its attributes, else `name` where it is a constant of the code."""
    known = allowed(attributes)
    if method := known.get("http.request.method"):
        return " ".join(["HTTP" if method == "_OTHER" else method, *filter(None, [known.get("http.route")])])
    if "db.system.name" in known:
        words = (known.get("db.query.summary") or known.get("db.operation.name") or known["db.system.name"]).split()
        return str(words[0])
    return name if constant else ""


@lru_cache(maxsize=512)
def statement(text: str) -> str:
    """Return the operation and the tables of a statement."""
    return summary(text)


def type_name(text: str) -> str:
    """Return the name of a type, "" where `text` is none."""
    return text if _TYPE.fullmatch(text) else ""


_HEADER = "Traceback (most recent call last):\n"
_STACK_HEADER = "Stack (most recent call last):\n"
_CHAINED = re.compile(
    r"\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n" + re.escape(_HEADER)
)
_FRAME = re.compile(r'  File "[^"\n]+", line [0-9]+, in [\w<>.]+\n')
_SOURCE = re.compile(r"    [^\n]*\n|  \[Previous line repeated [0-9]+ more times?\]\n")


def frames(stack: str, message: str) -> str:
    """Return the frames of the exception that `stack` ends with, "" where they cannot be distinguished from messages.

    A message may hold anything, a forged frame too. So the last one, which is known, is taken off the end first; what
    is then behind the last sentence between two exceptions is Python's own. Source lines are left out.
    """
    stack = stack.rstrip("\n") + "\n"
    if stack.startswith(_STACK_HEADER):
        shown, _ = _walked(stack, len(_STACK_HEADER))
        return cut_middle(_STACK_HEADER + shown, STACK_BYTES)
    message = message.rstrip("\n")
    ending = f": {message}\n" if message else "\n"
    if not stack.startswith(_HEADER) or not stack.endswith(ending):
        return ""
    rest, start = stack[: -len(ending)], len(_HEADER)
    for found in _CHAINED.finditer(rest):
        start = found.end()
    shown, end = _walked(rest, start)
    return cut_middle(_HEADER + shown + rest[end:], STACK_BYTES) if _TYPE.fullmatch(rest, end) else ""


def _walked(text: str, position: int) -> tuple[str, int]:
    """Return the lines of the frames that begin at `position`, and where they end."""
    shown = []
    while found := _FRAME.match(text, position) or _SOURCE.match(text, position):
        if found.re is _FRAME:
            shown.append(found[0])
        position = found.end()
    return "".join(shown), position
