"""Requests that no client should send: each kind of method, path, host and header, with a new text every time."""

import random
import string
from collections.abc import Iterator
from itertools import count, product
from uuid import UUID

OddRequest = tuple[str, str, dict[str, str]]
"""Method, target and headers."""

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "odd"]
_PATHS = ["/{}", "/users/{}", "/users/{uuid}", "/static/{}", "/admin/{}", "/users?{}={}", "/{}/" + "x" * 3000]
_HOSTS = ["localhost", "{}.example", "{} {}:x"]
_HEADERS: list[dict[str, str]] = [
    {"User-Agent": "{}"},
    {"X-{}": "{}", "Cookie": "sessionid={}; {}", "Forwarded": "host={}"},
    {"traceparent": "00-{hex32}-{hex16}-01", "tracestate": "{}={}", "baggage": "{}={}"},
    {"X-Forwarded-Host": "{}", "X-Http-Method-Override": "{}", "Content-Type": "{}/{}"},
]
KINDS = len(_METHODS) * len(_PATHS) * len(_HOSTS) * len(_HEADERS)


class OddRequests:
    """An endless row of (method, target, headers); the first `KINDS` have one of each kind, as the next ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  (no secret)
        self._number = count()

    def __iter__(self) -> Iterator[OddRequest]:
        while True:
            for method, path, host, headers in product(_METHODS, _PATHS, _HOSTS, _HEADERS):
                filled = {self._fill(name): self._fill(value) for name, value in headers.items()}
                odd = self._word().upper() if method == "odd" else method
                yield odd, self._fill(path), {**filled, "Host": self._fill(host)}

    def _fill(self, template: str) -> str:
        bits = self._random.getrandbits
        values = {"uuid": str(UUID(int=bits(128))), "hex32": f"{bits(128):032x}", "hex16": f"{bits(64):016x}"}
        return template.format(*(self._word() for _ in range(2)), **values)

    def _word(self) -> str:
        """A word that was never there before."""
        length = self._random.randint(1, 12)
        return "".join(self._random.choices(string.ascii_letters, k=length)) + f"n{next(self._number)}"
