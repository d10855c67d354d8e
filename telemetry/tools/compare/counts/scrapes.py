"""Scrapes as Prometheus makes them: at an interval, each answered by any one of the processes."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from time import time

_TIMEOUT = 10.0
_ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
_OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """One scrape: its start and end in seconds since the epoch, the requests that it counts, and its size in bytes."""

    begin: float
    end: float
    counted: int
    size: int


class Scrapes:
    """Scrapes `path` of a port of the loopback address; `counts` is the series that counts requests.

    Series whose labels hold `ignored` are left out. `answers` has the scrapes so far.
    """

    def __init__(self, port: int, path: str, counts: str, ignored: str = "") -> None:
        self._port = port
        self._path = path
        self._pattern = re.compile(rf"^{re.escape(counts)}({{.*}})? (\S+)", re.MULTILINE)
        self._ignored = ignored
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.answers: list[Answer] = []

    def every(self, seconds: float) -> Callable[[], None]:
        """Scrape at an interval from now on; return a function that stops it."""
        thread = threading.Thread(target=self._repeat, args=(seconds,), daemon=True)
        thread.start()

        def stop() -> None:
            self._stopping.set()
            thread.join(_TIMEOUT)

        return stop

    def _repeat(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            self.scrape()

    def scrape(self) -> Answer | None:
        """Scrape once, now; return None if there was no answer."""
        with self._lock:  # so that the last answer is that of the scrape that began last
            begin = time()
            body = self._fetch()
            if body is None:
                return None
            counted = sum(
                float(value)
                for labels, value in self._pattern.findall(body)
                if not (self._ignored and self._ignored in labels)
            )
            answer = Answer(begin, time(), round(counted), len(body))
            self.answers.append(answer)
            return answer

    def _fetch(self) -> str | None:
        client = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            client.request("GET", self._path, headers={"Accept": _ACCEPT, "Connection": "close"})
            response = client.getresponse()
            body = response.read().decode()
        except (OSError, HTTPException):
            return None
        finally:
            client.close()
        return body if response.status == _OK else None
