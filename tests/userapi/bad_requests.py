"""Requests that no client should send, and the status that each must get."""

from dataclasses import dataclass, field
from gzip import compress
from typing import Any


@dataclass(frozen=True)
class BadRequest:
    """One request over `http.client`; `status` is what it must be answered with."""

    name: str
    status: int
    method: str = "POST"
    path: str = "/users"
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def __str__(self) -> str:
        return self.name


def _body(name: str, body: bytes, status: int = 400) -> BadRequest:
    return BadRequest(name, status, body=body)


def _get(name: str, path: str, status: int = 400, **headers: str) -> BadRequest:
    return BadRequest(
        name, status, "GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()}
    )


def _user(name: bytes = b'"Test"', email: bytes = b'"test@example.com"') -> bytes:
    return b'{"name": ' + name + b', "email": ' + email + b"}"


_JSON: dict[str, Any] = {"Content-Type": "application/json"}
_RANGES = ("*/*", "application/*", "*/json")

BAD_REQUESTS = [
    # What JSON is not
    _body("empty body", b""),
    _body("no JSON", b"name=Test"),
    _body("half JSON", b'{"name": "Te'),
    _body("two JSONs", _user() + _user()),
    _body("one member twice", b'{"name": "a", "name": "b", "email": "keys@example.com"}'),
    _body("one inner member twice", _user(b'{"a": 1, "\\u0061": 2}')),
    _body("byte order mark", b"\xef\xbb\xbf" + _user()),
    _body("UTF-16", _user().decode().encode("utf-16")),
    _body("invalid UTF-8", _user(b'"\xff\xfe"')),
    _body("UTF-8 surrogate", _user(b'"\xed\xa0\x80"')),
    _body("NaN", _user(b"NaN")),
    _body("infinity", _user(b"-Infinity")),
    _body("number of 5000 digits", _user(b"1" * 5000)),
    _body("nested 30000 lists", b"[" * 30_000),
    _body("nested 10000 objects", b'{"a":' * 10_000),
    _body("control character", _user(b'"a\nb"')),
    # The wrong shape
    *(_body(f"{body.decode()} for an object", body) for body in (b"null", b"[]", b"1", b'"text"', b"true", b"[{}]")),
    *(
        _body(f"name is {value.decode()}", _user(value))
        for value in (b"null", b"[]", b"{}", b"true", b"1", b"1.5", b'["a"]')
    ),
    *(_body(f"email is {value.decode()}", _user(email=value)) for value in (b"null", b"[]", b"{}", b"1", b"true")),
    _body("no name", b'{"email": "test@example.com"}'),
    _body("no email", b'{"name": "Test"}'),
    # Members and parameters that do not exist
    _body("unknown members", b'{"name": "Test", "email": "odd@example.com", "is_admin": true, "pk": 1}'),
    _body("half a surrogate pair as a member", b'{"name": "Test", "email": "odd@example.com", "\\ud800": 1}'),
    _body("5000 unknown members", b"{" + b",".join(b'"%d": 1' % n for n in range(5000)) + b"}"),
    BadRequest("unknown parameter of a POST", 400, path="/users?dry_run=true", body=_user()),
    BadRequest("body of a list", 400, "GET", body=_user()),
    *(
        BadRequest(f"body of a list: {body.decode()}", 400, "GET", body=body)
        for body in (b"[1]", b"[]", b"0", b"false", b"null", b'""')
    ),
    _get("unknown parameter of a list", "/users?name=x"),
    _get("unknown parameter with NUL", "/users?%00=x"),
    _get("half a surrogate pair as a parameter", "/users?%ed%a0%80=x"),
    _get("format, which Accept says", "/users?format=json"),
    _get("repeated parameters", "/users?page_size=1&page_size=2"),
    _get("unknown parameter of the schema", "/schema?version=1"),
    _get("unknown parameter of the documents", "/docs?x=1"),
    # Preconditions
    _get("malformed If-None-Match", "/users", If_None_Match="abc"),
    _get("If-Match for another page", "/users", 412, If_Match='"abc"'),
    # Values
    _body("blank name", _user(b'"  "')),
    _body("NUL in name", _user(b'"a\\u0000b"')),
    _body("lone surrogate in name", _user(b'"a\\ud800b"')),
    _body("name of 201 characters", _user(b'"' + b"x" * 201 + b'"')),
    _body("name of 50000 characters", _user(b'"' + b"x" * 50_000 + b'"')),
    _body("NUL in email", _user(email=b'"a\\u0000@example.com"')),
    _body("lone surrogate in local part", _user(email=b'"\\ud800@example.com"')),
    _body("lone surrogate in domain", _user(email=b'"a@\\udfff.com"')),
    _body("email without at", _user(email=b'"test.example.com"')),
    *(
        _body(f"email with {at!a} for its at", _user(email=f'"\u017fay{at}example.com"'.encode()))
        for at in ("\uff20", "\ufe6b")
    ),
    _body("email of 300 characters", _user(email=b'"' + b"x" * 288 + b'@example.com"')),
    _body("email that grows in lower case", _user(email='"a@{}.com"'.format("İ" * 60 + "." + "İ" * 60).encode())),
    *(
        _body(f"email with {character} before the @", _user(email=f'"{character}ay@example.com"'.encode()))
        for character in ("\u212a", "\u0130", "\u017f", "\u0131", "ü", "\U0001f984")
    ),
    *(
        _body(f"email with {character!a} in the domain", _user(email=f'"a@exa{character}mple.com"'.encode()))
        for character in ("\u200b", "\u00ad", "\ufeff", "\u202e", "\u3000", "\ufe0f", "\u3164", "\U000e0100")
    ),
    _body("email with markup", _user(email=b'"<script>@example.com"')),
    _body("email with line break", _user(email=b'"a@example.com\\nBcc: b"')),
    # Bodies that are too large, of another type, or in another charset
    _body("body of 1 MB", _user(b'"' + b"x" * 1_000_000 + b'"'), 413),
    *(
        BadRequest(f"content type {name}", 415, body=_user(), headers={"Content-Type": name})
        for name in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "application/xml",
            "nonsense",
            "/",
            ";",
            "application/json; charset=zlib",
            "application/json; charset=utf-16",
            "application/json; charset=undefined",
            "application/json; x*=bogus'en'a",
        )
    ),
    BadRequest("no content type", 415, body=_user(), headers={}),
    *(BadRequest(f"content type {each}", 415, body=_user(), headers={"Content-Type": each}) for each in _RANGES),
    BadRequest("compressed body", 415, body=compress(_user()), headers={**_JSON, "Content-Encoding": "gzip"}),
    BadRequest("part of a record", 400, "PUT", body=_user(), headers={**_JSON, "Content-Range": "bytes 0-9/20"}),
    BadRequest("body that is said to be compressed", 415, body=_user(), headers={**_JSON, "Content-Encoding": "br"}),
    # Negotiation and methods
    _get("picture wanted", "/users", 406, Accept="image/png"),
    _get("nonsense wanted", "/users", 406, Accept="/;;q=x"),
    _get("a parameter in an unknown charset wanted", "/users", 406, Accept="text/html;x*=bogus'en'a"),
    _get("the same at an unknown address", "/nothing", 404, Accept="text/html;x*=bogus'en'a"),
    _get("JSON excluded", "/users", 406, Accept="*/*, application/*;q=0, text/*;q=0"),
    _get("charset zlib on a GET", "/users?search=x", 415, Content_Type="application/json; charset=zlib"),
    BadRequest("PUT on the list", 405, "PUT", body=_user()),
    BadRequest("POST on a user", 405, "POST", "/users/00000000-0000-0000-0000-000000000000", _user()),
    BadRequest("invented method", 405, "BREW"),
    *(BadRequest(f"{method} for a token", 405, method, "/auth/token") for method in ("GET", "OPTIONS", "PUT")),
    BadRequest("PATCH of an unknown user", 404, "PATCH", "/users/00000000-0000-0000-0000-000000000000", b"{}", _JSON),
    # Parameters
    _get("page size 0", "/users?page_size=0"),
    _get("page size of 5000 digits", "/users?page_size=" + "9" * 3000),
    _get("page size with NUL", "/users?page_size=1%00"),
    _get("ordering with NUL", "/users?ordering=name%00"),
    _get("ordering of a lookup", "/users?ordering=email__contains"),
    _get("cursor with NUL", "/users?cursor=%00"),
    _get("cursor with invalid UTF-8", "/users?cursor=%ff%fe"),
    _get("cursor of 3000 characters", "/users?cursor=" + "A" * 3000),
    _get("search of 1000 characters", "/users?search=" + "x" * 1000),
    _get("email of 1000 characters", "/users?email=" + "x" * 1000),
    # Addresses and identities
    _get("id is no UUID", "/users/1", 404),
    _get("id with NUL", "/users/%00", 404),
    _get("id with invalid UTF-8", "/users/%ff", 404),
    _get("trailing slash of an unknown address", "/nothing/", 404),
    _get("unknown address", "/nothing", 404),
    _get("NUL in an escaped cookie", "/users", 400, Cookie=r'userapi_sessionid="abcdefgh\000ijkl"'),
    _get("unknown host", "/users", 400, Host="evil.example"),
    _get("host is nonsense", "/users", 400, Host="a b"),
    _get("token with bytes", "/users", 401, Authorization="Bearer \xff\xfe"),
    _get("token with a space", "/users", 401, Authorization="Bearer a b"),
    _get("token unknown", "/users", 401, Authorization="Bearer " + "0" * 64),
    BadRequest("NUL in a name for a token", 401, path="/auth/token", headers={"Authorization": "Basic YQBiOmM="}),
    BadRequest("no base64 for a token", 401, path="/auth/token", headers={"Authorization": "Basic é"}),
]

ODD_BUT_GOOD = [
    _get("search with NUL", "/users?search=%00", 200),
    _get("search with invalid UTF-8", "/users?search=%ff%fe", 200),
    _get("search with surrogates", "/users?search=%ed%a0%80", 200),
    _get("email with NUL", "/users?email=%00", 200),
    _get("email with invalid UTF-8", "/users?email=%ff@%fe", 200),
    _get("email that is none", "/users?email=x", 200),
    _get("search for SQL", "/users?search=';DROP%20TABLE%20users_user;--", 200),
    _get("search for a pattern", "/users?search=((((%25_[^a-z]*", 200),
    _get("search of many words", "/users?search=" + "+".join(["a"] * 99), 200),
    _get("search for an emoji", "/users?search=%F0%9F%A6%84", 200),
    _get("content type with an unknown charset on a GET", "/users", 200, Content_Type="text/plain; x*=bogus'en'a"),
    _get("empty parameters", "/users?search=&cursor=&ordering=&page_size=", 200),
    BadRequest("empty object as the body of a list", 200, "GET", body=b"{}"),
    BadRequest("body that is not compressed", 400, body=b"{}", headers={**_JSON, "Content-Encoding": "identity"}),
    _body("name in four-byte characters", _user('"🦄🜁"'.encode(), b'"unicorn@example.com"'), 201),
    _body("read-only members", b'{"name": "Test", "email": "odd@example.com", "id": true, "created_at": 1}', 201),
]
