"""Conditional requests: `If-Match` and `If-None-Match` against an entity tag (RFC 9110, section 13)."""

import re
from collections.abc import Callable
from hashlib import sha256

from django.http import HttpResponseNotModified
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ParseError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from userapi.problems import PreconditionFailed

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_ANY = "*"


def entity_tag(*parts: str) -> str:
    """Return a strong entity tag of a representation that `parts` determine byte for byte."""
    return f'"{sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"'


def read(request: Request, etag: str, respond: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Return the response of `respond` with its entity tag, or a 304 if the client already has it.

    The tag is that of the JSON; the browsable API's page, which contains more, has none.
    """
    if not isinstance(request.accepted_renderer, JSONRenderer):
        return respond()
    response = HttpResponseNotModified() if matches(request, etag) else respond()
    response.headers["ETag"] = etag
    return response


def matches(request: Request, etag: str) -> bool:
    """Check the preconditions; return whether If-None-Match names the entity tag, which is True in reads only.

    Before a write, call this once the record can no longer change. Raises PreconditionFailed (412), and ParseError
    (400) for a malformed list of tags: ignoring it would drop the protection that the client requested.
    """
    wanted = request.headers.get("If-Match")
    # A weak tag promises nothing about the bytes, so it matches nothing here.
    if wanted is not None and wanted.strip() != _ANY and etag not in _tags("If-Match", wanted):
        raise PreconditionFailed("If-Match names another version than the present one: read it again.")
    unwanted = request.headers.get("If-None-Match")
    if unwanted is None:
        return False
    found = unwanted.strip() == _ANY or etag in [tag.removeprefix("W/") for tag in _tags("If-None-Match", unwanted)]
    if found and request.method not in SAFE_METHODS:
        raise PreconditionFailed("If-None-Match names the present version.")
    return found


def _tags(header: str, value: str) -> list[str]:
    if not _TAGS.fullmatch(value):
        raise ParseError(f'{header} holds no list of entity tags; expected * or quoted tags such as "1a2b".')
    return re.findall(_TAG, value)
