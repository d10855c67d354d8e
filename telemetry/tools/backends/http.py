"""The base of all clients: bounded requests, and errors that name the address, the problem and the cause."""

import errno
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

import requests

from telemetry.causes import causes
from telemetry.tools.backends.names import unresolved_remedy

TIMEOUT = 5.0
"""Seconds that one request may take."""

_LONGEST_BODY = 64 << 20
_CHUNK = 1 << 16
_LONGEST_REASON = 200


class BackendError(Exception):
    """A request without a proper answer.

    `status` is None if there was no answer at all. `reason` is what happened, `remedy` what to check; no part of it
    contains the credentials of the URL.
    """

    def __init__(self, server: str, url: str, reason: str, remedy: str, status: int | None = None) -> None:
        super().__init__(f"{server} at {url}: {reason}; {remedy}")
        self.url = url
        self.reason = reason
        self.remedy = remedy
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request. `url` is its origin, without credentials."""

    url: str
    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


@dataclass(frozen=True)
class Backend:
    """A server behind a base URL.

    `url` may contain a user and a password (`http://user:password@host:port/prefix`), sent with each request as Basic
    authentication; `headers` are those a gateway needs, such as `X-Scope-OrgID`. Neither is ever shown. Proxies of
    the environment are not used: the servers are local. Raises ValueError for an invalid URL.
    """

    url: str = field(repr=False)
    timeout: float = TIMEOUT
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    name: ClassVar[str]
    variable: ClassVar[str]
    """The variable that holds the URL, for the commands that take it from the environment."""
    default_url: ClassVar[str]
    ready_path: ClassVar[str]

    def __post_init__(self) -> None:
        _check_base_url(self.url)

    @property
    def base(self) -> str:
        """The base URL without credentials and without a trailing slash."""
        return shown_url(self.url).rstrip("/")

    def check_ready(self) -> None:
        """Raise BackendError unless the server reports that it is ready."""
        self.get(self.ready_path)

    def get(self, path: str, parameters: Mapping[str, object] | None = None, accepted: tuple[int, ...] = ()) -> Answer:
        """Request `path` below the base URL; raise BackendError unless the status is 2xx or one of `accepted`."""
        query = urlencode({name: str(value) for name, value in (parameters or {}).items()})
        return self._ask(f"{self.base}{path}{'?' if query else ''}{query}", accepted)

    def get_json(
        self, path: str, parameters: Mapping[str, object] | None = None, accepted: tuple[int, ...] = ()
    ) -> Any:
        """Request `path` and return the decoded JSON; None for a status of `accepted`."""
        answer = self.get(path, parameters, accepted)
        return None if answer.status in accepted else self.decode(answer)

    def decode(self, answer: Answer) -> Any:
        """Return the JSON of an answer; raise BackendError if it is not JSON."""
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise self.error(answer.url, "the answer is not JSON", answer.status) from None

    def error(self, url: str, reason: str, status: int | None = None, remedy: str = "") -> BackendError:
        """Return the error for an unexpected answer."""
        remedy = remedy or f"check that {self.name} listens there{self._named_by}"
        return BackendError(self.name, url, reason, remedy, status)

    @property
    def _named_by(self) -> str:
        return f" ({self.variable})"

    def _ask(self, url: str, accepted: tuple[int, ...]) -> Answer:
        path = url.partition("?")[0]
        deadline = monotonic() + self.timeout
        try:
            # A new session each time: there are few requests, and a kept connection would outlive a restart.
            with requests.Session() as session:
                session.trust_env = False
                session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
                session.auth = _credentials(self.url)
                session.headers.update({"Accept": "application/json, */*;q=0.5", **self.headers})
                with session.get(url, timeout=self.timeout, stream=True, allow_redirects=False) as response:
                    body = self._read(response, path, deadline)
        except requests.RequestException as error:
            raise self.error(path, _reason_of(error), remedy=self._remedy_of(error)) from None
        answer = Answer(path, response.status_code, body)
        if not (answer.status in accepted or HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES):
            raise self._refusal(answer)
        return answer

    def _read(self, response: Any, path: str, deadline: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > _LONGEST_BODY:
                raise self.error(path, f"the answer is longer than {_LONGEST_BODY >> 20} MiB", response.status_code)
            if monotonic() > deadline:
                raise self.error(path, f"no complete answer within {self.timeout:g} s", remedy="check its load")
        return bytes(body)

    def _refusal(self, answer: Answer) -> BackendError:
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = ""
        text = " ".join(answer.text.split()) if "<" not in answer.text[:100] else ""
        reason = f"HTTP {answer.status} {phrase}".strip() + (f": {text[:_LONGEST_REASON]}" if text else "")
        remedies: dict[int, str] = {
            HTTPStatus.UNAUTHORIZED: f"put a user and password into its URL{self._named_by}",
            HTTPStatus.FORBIDDEN: f"check the permissions of the user in its URL{self._named_by}",
            HTTPStatus.BAD_REQUEST: "check the query",
            HTTPStatus.TOO_MANY_REQUESTS: "check its limits",
            HTTPStatus.SERVICE_UNAVAILABLE: "wait until it is ready, or see its log",
        }
        usual = "see its log" if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
        return self.error(answer.url, reason, answer.status, remedies.get(answer.status, usual))

    def _remedy_of(self, error: Exception) -> str:
        if isinstance(error, requests.exceptions.SSLError):
            return f"check the scheme of its URL{self._named_by}, and REQUESTS_CA_BUNDLE for your own authority"
        if isinstance(error, requests.exceptions.Timeout):
            return f"check that it is up and not overloaded{self._named_by}"
        if _is_unresolved(error):
            return unresolved_remedy(urlsplit(self.url).hostname or "", self.variable)
        return f"check that it is up, and the host and port of its URL{self._named_by}"


def _check_base_url(url: str) -> None:
    """Raise ValueError with what is wrong and what is expected, without its credentials."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ValueError("invalid URL; expected http://host:port or https://host:port") from None
    if not fine or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise ValueError(f"invalid URL {shown_url(url)!r}; expected http://host:port or https://host:port")


def url_with_login(url: str, user: str, password: str) -> str:
    """Return `url` with a user and a password, of any characters, in place of its own."""
    parts = urlsplit(url)
    place = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def shown_url(url: str) -> str:
    """Return `url` without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _credentials(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url)
    return None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))


def _is_unresolved(error: Exception) -> bool:
    return any(isinstance(cause, socket.gaierror) for cause in causes(error))


def _reason_of(error: Exception) -> str:
    # The text of requests' errors quotes URLs.
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no TLS connection"
    if _is_unresolved(error):
        return "the host name cannot be resolved"
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in errno.errorcode and cause.strerror:
            return cause.strerror.lower()
    return f"the connection broke ({type(error).__name__})"
