"""The strict level: exports only what comes from the code and its configuration, never from data.

Nothing here looks for secrets. An attribute is exported if its name is on the list and its value has the form that the
name requires; a statement is reduced to its operation and tables, an exception to its type and frames, which are taken
from the object, never from a text.
"""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPMethod
from types import FrameType
from typing import Any

from telemetry.privacy.bounds import STACK_BYTES, cut_middle
from telemetry.privacy.constants import is_of_module
from telemetry.privacy.rule import MASK
from telemetry.privacy.sql import summary

Check = Callable[[Any], bool]

_WORD = re.compile(r"[A-Za-z_][\w.-]{0,127}", re.ASCII)
_TYPE = re.compile(r"[A-Za-z_][\w.<>]{0,254}", re.ASCII)
_CODE = re.compile(r"[0-9A-Z]{5}|[0-9]{1,6}|SQLITE_[A-Z_]{1,40}", re.ASCII)
_SUMMARY = re.compile(r"[A-Z]{2,12}(?: [A-Za-z_][\w$]{0,62}){0,8}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2})?", re.ASCII)
_RELEASE = re.compile(
    r"v?[0-9]{1,9}(?:\.[0-9]{1,9}){0,4}(?:[.-]?(?:a|alpha|b|beta|c|rc|pre|post|dev|final)[.-]?[0-9]{0,9}){0,3}",
    re.ASCII,
)
_HOST = re.compile(r"[\w.:/-]{1,255}", re.ASCII)
_PLACE = r"(?:[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?(?:/[\w.-]{0,64}){0,8}"
_URL = re.compile(rf"https?://{_PLACE}", re.ASCII)
"""One without user, password, query and fragment."""
_DESTINATION = re.compile(rf"console|none|prometheus|(?:grpc|http/protobuf)\s(?:https?://)?{_PLACE}", re.ASCII)
METHODS = frozenset((*HTTPMethod, "HTTP"))
"""The possible first words of a request span's name."""
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
    **dict.fromkeys(("telemetry.traces", "telemetry.metrics", "telemetry.logs"), _form(_DESTINATION)),
}
_STATEMENTS = frozenset({"db.query.text", "db.statement"})
STACKS = ("exception.stacktrace", "code.stacktrace")


def allowed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `attributes` that may be exported."""
    result: dict[str, Any] = {}
    for key, value in attributes.items():
        check = _ALLOWED.get(key)
        if check is not None:
            if check(value):
                result[key] = value
        elif key in _STATEMENTS:
            if isinstance(value, str) and (text := statement(value)):
                result["db.query.summary"] = text
        elif key in STACKS:
            if isinstance(value, frozenset):
                (result[key],) = value
        elif key == "server.address" and _is_of_database(value, attributes):
            result[key] = value
    return result


def _is_of_database(address: Any, beside: Mapping[str, Any]) -> bool:
    """Return whether the address of a server is that of a database; that of a request comes from the client."""
    is_request = "http.request.method" in beside or "http.method" in beside
    is_database = not is_request and _ALLOWED["db.system.name"](beside.get("db.system.name"))
    return is_database and isinstance(address, str) and _HOST.fullmatch(address) is not None


def span_name(name: str, attributes: Mapping[str, Any], *, constant: bool) -> str:
    """Return the name of a request or a query from its attributes, else `name` if it is a constant of the code."""
    known = allowed(attributes)
    if method := known.get("http.request.method"):
        return " ".join(["HTTP" if method == "_OTHER" else method, *filter(None, [known.get("http.route")])])
    if "db.system.name" in known:
        words = (known.get("db.query.summary") or known.get("db.operation.name") or known["db.system.name"]).split()
        return str(words[0])
    return name if constant else ""


def version(text: str) -> str:
    """Return `text` if it is a version's number, else ""."""
    return text if _RELEASE.fullmatch(text) else ""


def url(text: str) -> str:
    """Return `text` if it is a URL of nothing but a host and a path, else ""."""
    return text if _URL.fullmatch(text) else ""


@lru_cache(maxsize=512)
def statement(text: str) -> str:
    """Return the operation and the tables of a statement."""
    return summary(text)


def type_name(text: str) -> str:
    """Return `text` if it is the name of a type, else ""."""
    return text if _TYPE.fullmatch(text) else ""


class _Sentences:
    """The lines between exceptions, in Python's words."""

    cause = "\nThe above exception was the direct cause of the following exception:\n\n"
    context = "\nDuring handling of the above exception, another exception occurred:\n\n"
    member = "\nThe above group has the following exception:\n\n"


_HEADER = "Traceback (most recent call last):\n"
_STACK_HEADER = "Stack (most recent call last):\n"
_FUNCTION = re.compile(r"[\w<>.]{1,255}")
_MOST_EXCEPTIONS = 32
_MOST_FRAMES = 256

Vetted = frozenset[str]
"""The text of a stack trace made here: a set, which no other attribute of OpenTelemetry can be."""


def stack_of(error: BaseException) -> Vetted:
    """Return the types and the frames of `error`, of its causes and contexts, and of the exceptions in its groups.

    They come from the objects, as a formatted text also contains messages and notes, which may look like frames.
    """
    lines: list[str] = []
    for sentence, each in _exceptions(error, "", set()):
        name = type_name(type(each).__qualname__) or MASK
        lines += sentence, _HEADER, _frames(traceback.walk_tb(each.__traceback__)), name, "\n"
    return Vetted({cut_middle("".join(lines[:-1]), STACK_BYTES)})


def stack_at(frame: FrameType | None, file: str, line: int) -> Vetted | None:
    """Return the call stack of `line` of `file`, in `frame` or one of its callers; None if it is in neither."""
    while frame and (frame.f_code.co_filename != file or frame.f_lineno != line):
        frame = frame.f_back
    if frame is None:
        return None
    callers = reversed(list(traceback.walk_stack(frame)))
    return Vetted({cut_middle(_STACK_HEADER + _frames(callers).rstrip("\n"), STACK_BYTES)})


def _exceptions(error: BaseException, before: str, seen: set[int]) -> Iterator[tuple[str, BaseException]]:
    """Yield the exceptions in the order in which Python prints them, each with the sentence `before` it."""
    chain: list[tuple[str, BaseException]] = []
    latest: BaseException | None = error
    while latest is not None and id(latest) not in seen and len(seen) < _MOST_EXCEPTIONS:
        seen.add(id(latest))
        if latest.__cause__ is not None:
            chain.append((_Sentences.cause, latest))
            latest = latest.__cause__
        else:
            chain.append((_Sentences.context, latest))
            latest = None if latest.__suppress_context__ else latest.__context__
    for number, (sentence, each) in enumerate(reversed(chain)):
        yield sentence if number else before, each
        if isinstance(each, BaseExceptionGroup):
            for member in each.exceptions:
                yield from _exceptions(member, _Sentences.member, seen)


def _frames(frames: Iterable[tuple[FrameType, int]]) -> str:
    """Return a line for each frame: the module's file, the line number, the function."""
    lines = [_line(frame, number) for frame, number in frames]
    if len(lines) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        lines[half:-half] = [f"  [{len(lines) - 2 * half} frames]\n"]
    return "".join(lines)


def _line(frame: FrameType, number: int) -> str:
    file, function = frame.f_code.co_filename, frame.f_code.co_name
    if not is_of_module(frame) or not _FUNCTION.fullmatch(function):
        file = function = MASK
    return f'  File "{file}", line {number}, in {function}\n'
