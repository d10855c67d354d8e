"""The requests of each part of the visits that tests share."""

from typing import Any

from tests.signals.visit import Requests
from tests.support.routes import scrape
from tests.support.service import Service, wait_until

USER = "00000000-0000-0000-0000-000000000000"

# Method, path, further headers -> the status, the route, the span's name.
REQUESTS = [
    ("GET", "/", {}, 200, "/", "GET /"),
    ("GET", "/users?search=someone", {}, 200, "/users", "GET /users"),
    ("GET", f"/users/{USER}", {}, 404, "/users/{id}", "GET /users/{id}"),
    ("BREW", "/users", {}, 405, "/users", "HTTP /users"),
    ("BREW", "/nothing", {}, 404, None, "HTTP"),
    ("GET", "/nothing/here", {}, 404, None, "GET"),
    ("GET", "/static/userapi/home.css", {}, 200, "/static/{path}", "GET /static/{path}"),
    ("GET", "/admin/users/user/1/history/", {}, 302, "/admin/users/user/{object_id}/history/", None),
    ("GET", "/admin/nothing", {}, 302, "/admin/{url}", "GET /admin/{url}"),
    ("GET", "/faults/bug", {}, 500, "/faults/{kind}", "GET /faults/{kind}"),
    ("GET", "/faults/denied", {}, 403, "/faults/{kind}", "GET /faults/{kind}"),
    ("GET", "/faults/busy", {}, 503, "/faults/busy", "GET /faults/busy"),
    ("GET", "/users", {"Host": "evil.example:81"}, 400, None, "GET"),
    ("GET", "/users", {"Host": "no host at all"}, 400, None, "GET"),
]


def kinds(service: Service) -> str:
    """Send one of each kind; return what a scrape says right after, in direct mode."""
    for method, path, headers, status, _, _ in REQUESTS:
        assert service.request(method, path, headers=headers)[0] == status, path

    def complete() -> bytes | None:  # a file's answer is over after it has been sent
        status, _, body = service.get("/metrics")
        return body if status == 404 or (status == 200 and b'"/static/{path}"' in body) else None

    body = wait_until(complete, 60, "a scrape with all requests")
    assert body
    return body.decode()


def refused(service: Service) -> None:
    """Send requests that Django logs: of wrong paths, faults, a wrong host, and a form without a CSRF token."""
    for path in ("/nothing", "/faults/missing", "/faults/denied", "/faults/suspicious", "/faults/bug", "/faults/busy"):
        service.get(path)
    service.get("/users", Host="evil.example")
    service.request("POST", "/admin/login/", headers={"Content-Length": "0"})


def faults(service: Service) -> None:
    for kind in ("bug", "busy", *ANSWERED_FAULTS):
        service.get(f"/faults/{kind}")


ANSWERED_FAULTS = ("missing", "denied", "suspicious")


def long(service: Service) -> tuple[int, Any]:
    """Send far too long values, a host that is refused, and a fault; return the refusal."""
    service.request("B" * 20, "/" + "p" * 3000, headers={"User-Agent": "u" * 8000, "Host": "h" * 3000})
    status, _, body = service.get("/users", Host="evil.example")
    service.get("/faults/bug")
    return status, body


def repeated(service: Service) -> None:
    """Have each thread serve requests again and again."""
    for _ in range(5):
        service.get("/users")
        service.get("/faults/bug")


def greetings(service: Service) -> tuple[int, str]:
    """Ask for what is there with a greeter only; return the status, and the schema."""
    schema = service.get("/schema", Accept="application/json")[2].decode()
    return service.get(f"/users/{USER}/greeting")[0], schema


TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def traceparent(flags: str = "01") -> str:
    return f"00-{TRACE}-{PARENT}-{flags}"


MALFORMED = (f"{traceparent()},{traceparent()}", "00-" + "0" * 32 + f"-{PARENT}-01", "ff" + traceparent()[2:])


def ask(service: Service, *traceparents: str) -> None:
    """Send a request with each of these headers."""
    for text in traceparents:
        assert service.get("/users", traceparent=text, tracestate="vendor=value")[0] == 200


def context(service: Service) -> None:
    ask(service, traceparent(), traceparent("00"), *MALFORMED)


def headers(service: Service) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers of two answers, the first of which is to an excluded URL."""
    return service.get("/touch")[1], service.get("/users?page_size=1", **{"X-Request-ID": "4711"})[1]


def scraped_call(service: Service) -> str:
    """Have the service call itself; return a scrape."""
    assert service.get("/calls/urllib3")[0] == 200
    return scrape(service)


PARTS: dict[str, Requests] = {
    "kinds": kinds,
    "refused": refused,
    "faults": faults,
    "long": long,
    "repeated": repeated,
    "touch": lambda service: service.get("/touch"),
    "queries": lambda service: service.get("/queries"),
    "call": lambda service: service.get("/calls/requests"),
}
# Name -> parts, arguments and environment.
VISITS: dict[str, tuple[dict[str, Requests], tuple[str, ...], dict[str, str]]] = {
    "collector": (PARTS, (), {}),
    "direct": (
        {**PARTS, "call": scraped_call},
        (),
        {"mode": "direct", "TELEMETRY_INSTRUMENT": "requests,urllib3,httpx"},
    ),
    "one thread": (
        {"refused": refused, "greetings": greetings, "context": context, "headers": headers},
        ("--threads=1",),
        {
            "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "/touch$",
            "TELEMETRY_RESPONSE_HEADERS": "traceresponse,x-request-id",
            "TELEMETRY_VIEW_NAMES": "true",
        },
    ),
}
