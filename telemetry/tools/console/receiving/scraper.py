"""Scrapes Prometheus endpoints into the store, at an interval and on demand."""

import contextlib
import http.client
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from prometheus_client import Metric
from prometheus_client import parser as prometheus_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from telemetry.tools.console.storage.store import Store

_logger = logging.getLogger(__name__)

_OPENMETRICS = "application/openmetrics-text"
_ACCEPT = f"{_OPENMETRICS};version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
_TIMEOUT_SECONDS = 5.0
#: A connect cannot be interrupted, so it must end within the time that a stop may take.
_CONNECT_TIMEOUT_SECONDS = 1.0
#: The text and its samples, each of which takes up to 1,000 bytes once it is parsed.
_LONGEST_BODY = 8 << 20
_MOST_LINES = 50_000
_CHUNK = 1 << 16


class ScrapeError(Exception):
    """Why a scrape failed, in one line."""


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """A target to scrape; its name is unique among the targets. The token is sent as a bearer token."""

    name: str
    url: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not self.name or not valid:
            expected = "NAME=http://HOST[:PORT]/PATH, or https"
            raise ValueError(f"scrape target is {self.name}={self.url}; expected {expected}")


@dataclass(frozen=True, slots=True)
class TargetState:
    """The state of a target's scrapes; `up` is None before the first, `missed` are failures after the first success."""

    name: str
    url: str
    up: bool | None = None
    last_error: str = ""
    last_scrape_ns: int = 0
    duration_seconds: float = 0.0
    samples: int = 0
    scrapes: int = 0
    failures: int = 0
    missed: int = 0


class _Scrape:
    """Scrapes one target, one scrape at a time: results stored out of order would look like counter resets."""

    def __init__(self, target: ScrapeTarget, store: Store) -> None:
        self._target = target
        self._store = store
        self._running = threading.Lock()
        self._socket: socket.socket | None = None
        self._aborted = False
        self.state = TargetState(target.name, target.url)

    def run(self) -> TargetState:
        with self._running:
            begin = time.monotonic()
            time_ns = time.time_ns()
            samples, error = 0, ""
            try:
                samples = self._store.add_samples(self._target.name, self._fetch(), time_ns)
            except Exception as failure:  # noqa: BLE001 (whatever a target sends, the scraper continues)
                error = str(failure) if isinstance(failure, ScrapeError) else f"{type(failure).__name__}: {failure}"
            before = self.state
            self.state = replace(
                before,
                up=not error,
                last_error=error[:500],
                last_scrape_ns=time_ns,
                duration_seconds=time.monotonic() - begin,
                samples=samples,
                scrapes=before.scrapes + 1,
                failures=before.failures + bool(error),
                missed=before.missed + (bool(error) and before.scrapes > before.failures),
            )
            if error and before.up is not False and not self._aborted:
                _logger.debug("scrape of %s (%s) failed: %s", self._target.name, self._target.url, error)
            return self.state

    def abort(self) -> None:
        self._aborted = True
        connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def _fetch(self) -> Iterable[Metric]:
        parts = urlsplit(self._target.url)
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_CONNECT_TIMEOUT_SECONDS)
        headers = {"Accept": _ACCEPT, "User-Agent": "user-api-console"}
        if self._target.token:
            headers["Authorization"] = f"Bearer {self._target.token}"
        try:
            connection.connect()
            self._socket = connection.sock
            connection.sock.settimeout(_TIMEOUT_SECONDS)
            connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise ScrapeError(f"HTTP {response.status} {response.reason}")
            text = _read(response, deadline).decode()
            content_type = response.headers.get_content_type()
        finally:
            self._socket = None
            connection.close()
        if text.count("\n") > _MOST_LINES:
            raise ScrapeError(f"the answer has more than {_MOST_LINES} lines")
        parser = openmetrics_parser if content_type == _OPENMETRICS else prometheus_parser
        try:
            return list(parser.text_string_to_metric_families(text))
        except (ValueError, KeyError, IndexError) as error:
            raise ScrapeError(f"not a valid {content_type} exposition: {error}") from None


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise ScrapeError(f"the answer is larger than {_LONGEST_BODY} bytes")
        if time.monotonic() > deadline:
            raise ScrapeError("the answer took too long")
    return bytes(body)


class Scraper:
    """Scrapes each target every `interval` seconds in its own thread; a failure is recorded, not raised."""

    def __init__(self, store: Store, targets: Sequence[ScrapeTarget], interval: float) -> None:
        if interval <= 0:
            raise ValueError(f"scrape interval is {interval}; expected seconds above 0")
        for name, times in Counter(target.name for target in targets).items():
            if times > 1:
                raise ValueError(f"scrape target {name!r} is given twice; expected one URL for each name")
        self.interval = interval
        self._scrapes = [_Scrape(target, store) for target in targets]
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def targets(self) -> list[TargetState]:
        return [scrape.state for scrape in self._scrapes]

    def scrape(self) -> list[TargetState]:
        """Scrape all targets now, and wait for the results."""
        with ThreadPoolExecutor(max(len(self._scrapes), 1), thread_name_prefix="scrape-now") as pool:
            return list(pool.map(_Scrape.run, self._scrapes))

    def start(self) -> None:
        """Start scraping, at once and then at the interval."""
        self._stopping.clear()
        for scrape in self._scrapes:
            thread = threading.Thread(target=self._loop, args=(scrape,), name="scraper", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End within two seconds; a running scrape is aborted."""
        self._stopping.set()
        for scrape in self._scrapes:
            scrape.abort()
        for thread in self._threads:
            thread.join(_CONNECT_TIMEOUT_SECONDS + 0.5)
        self._threads.clear()

    def _loop(self, scrape: _Scrape) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(due - time.monotonic(), 0)):
            scrape.run()
            due = max(due + self.interval, time.monotonic())
