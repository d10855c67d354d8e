"""Secrets that can be distinguished: each kind, in each place that a client controls."""

from base64 import b64encode
from dataclasses import dataclass, field
from itertools import count


@dataclass
class Canaries:
    """Hands out secrets; `marks` says for each what it is and where it was planted.

    A mark is unique, in lower case and without special characters, so that no encoding of a text hides it.
    """

    marks: dict[str, str] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(100))

    def mark(self, kind: str, place: str) -> str:
        mark = f"zq{next(self._numbers)}canary"
        self.marks[mark] = f"{kind} in {place}"
        return mark

    def known(self, secret: str, kind: str, place: str) -> str:
        """Note a secret that the service made itself."""
        self.marks[secret.lower()] = f"{kind} in {place}"
        return secret

    def opaque(self, kind: str, place: str, length: int) -> str:
        mark = self.mark(kind, place)
        return (mark + "0k1m2x3v4" * 7)[:length]

    def email(self, place: str) -> str:
        return f"{self.mark('email', place)}@secret.example"

    def basic(self, place: str) -> str:
        # Base64 hides the mark, so the encoded text is a mark as well.
        pair = f"{self.mark('decoded account', place)}:{self.mark('decoded password', place)}"
        encoded = b64encode(pair.encode()).decode()
        return f"Basic {self.known(encoded, 'basic credentials', place)}"

    def fields(self, place: str) -> dict[str, str]:
        """Return one field of a body or a query string for each kind."""
        return {
            "email": self.email(place),
            "password": self.mark("password", place),
            "token": self.opaque("token", place, 64),
            "sessionid": self.opaque("session id", place, 32),
            "csrfmiddlewaretoken": self.opaque("CSRF token", place, 64),
            "api_key": self.mark("API key", place),
            "username": self.mark("account", place),
            "note": f"from {self.email(place)}, postgres://me:{self.mark('DSN password', place)}@db/x",
        }

    def headers(self, place: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.mark('bearer token', place)}",
            "Proxy-Authorization": self.basic(place),
            "Cookie": f"userapi_sessionid={self.mark('session id', place)}; "
            f"userapi_csrftoken={self.mark('CSRF token', place)}",
            "X-CSRFToken": self.mark("CSRF token", place),
            "X-API-Key": self.mark("API key", place),
            "Referer": f"http://me:{self.mark('password', place)}@127.0.0.1/x?q={self.mark('query', 'Referer')}",
            "User-Agent": f"curl/8 {self.email('User-Agent')} Bearer {self.mark('bearer token', 'User-Agent')}",
            "X-Forwarded-For": self.email("X-Forwarded-For"),
            "X-Request-ID": self.opaque("token", "X-Request-ID", 64),
            "tracestate": f"vendor={self.email('tracestate')}",
            "baggage": f"email={self.email('baggage')},password={self.mark('password', 'baggage')}",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }

    def found_in(self, *texts: bytes) -> dict[str, str]:
        """Return the marks that are anywhere in `texts`, with what they are."""
        everything = b"\n".join(texts).lower()
        return {mark: what for mark, what in self.marks.items() if mark.encode() in everything}
