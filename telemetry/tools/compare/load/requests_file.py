"""A reader's own requests: a file with one on each line."""

import json
import re
import string
from pathlib import Path
from urllib.parse import quote

from telemetry.tools.compare.load.mix import Request

ACCEPTED = 'METHOD PATH [JSON] [-> STATUS], such as: POST /orders {"name": "order {n}"} -> 201'
_LINE = re.compile(r"(?P<method>[A-Z]+)\s+(?P<path>/\S*)(?:\s+(?P<body>[{\[].*?))?(?:\s+->\s*(?P<status>\d{3}))?")


class RequestsError(Exception):
    """A file of requests that cannot be read; one line."""


def read_requests(path: Path) -> list[Request]:
    """Return the requests of a file. Empty lines and those that begin with `#` are skipped.

    `{n}` in path or body is different each time. Without a status, any below 400 is right. Raises RequestsError.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestsError(f"--requests {path} cannot be read: {error}") from None
    found = [
        _request(path, number, line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not found:
        raise RequestsError(f"--requests {path} has no request; accepted on each line: {ACCEPTED}")
    return found


def _request(path: Path, number: int, line: str) -> Request:
    match = _LINE.fullmatch(line)
    if match is None:
        raise RequestsError(f"{path}, line {number} is {line!r}; expected {ACCEPTED}")
    body = match["body"] or ""
    try:
        json.loads(body.replace("{n}", "seed-0") or "null")
    except ValueError as error:
        replaced = " with a text such as seed-0 in place of {n}" if "{n}" in body else ""
        raise RequestsError(f"{path}, line {number}: the body {body!r} is no JSON{replaced}: {error}") from None
    return Request(match["method"], quoted(match["path"]), body, int(match["status"] or 0))


def quoted(path: str) -> str:
    """Return a path whose characters outside of ASCII are quoted, as a browser sends them."""
    return quote(path, safe=string.punctuation)
