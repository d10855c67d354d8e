"""Context from outside: what a client's headers decide, and that no header does harm."""

import random
import re
import socket
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import Span
from tests.signals.parts import MALFORMED, PARENT, TRACE, ask, context, traceparent
from tests.signals.visit import Requests, Visit, logged, printed, server_spans, visited
from tests.support.service import Service

Start = Callable[..., Service]


def assert_as_none(spans: list[Span]) -> None:
    for span in spans:
        assert (span.trace_id == TRACE, span.parent_span_id, span.links) == (False, "", ())


def test_trusted_context_becomes_the_parent_and_decides_on_sampling(visit: Callable[[str], Visit]) -> None:
    trusted, *others = server_spans(visit("one thread").parts["context"])
    assert (trusted.trace_id, trusted.parent_span_id, trusted.links) == (TRACE, PARENT, ())
    assert len(others) == len(MALFORMED)  # none of the one that is not sampled
    assert_as_none(others)


def test_linked_context_is_a_link_and_no_parent(fuzzed: Callable[[str], Visit]) -> None:
    first, second, *others = server_spans(fuzzed("link").parts["context"])
    for span in (first, second):
        assert span.trace_id != TRACE
        assert span.parent_span_id == ""
        assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE, PARENT)]
    assert len(others) == len(MALFORMED)
    assert_as_none(others)


def test_ignored_context_leaves_nothing(fuzzed: Callable[[str], Visit]) -> None:
    found = server_spans(fuzzed("ignore").parts["context"])
    assert len(found) == 2 + len(MALFORMED)
    assert_as_none(found)


def test_client_cannot_force_sampling(console: Console, start: Start) -> None:
    """That it cannot prevent sampling either is in `test_linked_context_is_a_link_and_no_parent`.

    Where its context is ignored, there is none for the sampler to see.
    """
    service = start(OTEL_TRACES_SAMPLER="parentbased_always_off", TELEMETRY_INCOMING_CONTEXT="link")
    ask(service, traceparent("01"))
    service.stop()
    assert server_spans(console.store) == []


FUZZED = ("traceparent", "tracestate", "baggage")
REQUESTS = 200


def value(chance: random.Random, header: str) -> bytes:
    """A header's value: right, almost right, far too long, or noise."""
    right = {
        "traceparent": traceparent(),
        "tracestate": ",".join(f"v{n}=canary{n}" for n in range(chance.choice([1, 31, 33, 200]))),
        "baggage": ",".join(f"k{n}=canary%20{n};p=1" for n in range(chance.choice([1, 64, 65, 300]))),
    }[header].encode()
    noise = bytes(chance.choice([*range(0x20, 0x7F), *range(0x80, 0x100), 9]) for _ in range(chance.randint(0, 60)))
    position = chance.randrange(len(right))
    return chance.choice(
        [
            right,
            noise,
            right[:position] + noise + right[position:],
            right[:position],
            b"=canary," * 900,
            b"canary" * 1300,
            b"",
            b"canary=" + b"\xff" * 100,
            b"canary=%zz%00%ff" * 20,
        ]
    )[:8000]


def send(port: int, headers: list[tuple[str, bytes]]) -> int:
    """Send one request with these very bytes; return the status."""
    head = b"".join(name.encode() + b": " + text + b"\r\n" for name, text in headers)
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + head + b"\r\n")
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split()[1])


def fuzz(policy: str, service: Service) -> list[int]:
    """Send odd headers, others for each policy; return the statuses."""
    chance = random.Random(policy)  # noqa: S311  (no secret)
    statuses = []
    for _ in range(REQUESTS):
        names = chance.choices(FUZZED, k=chance.randint(1, 5))
        statuses.append(send(service.port, [(name, value(chance, name)) for name in names]))
    return statuses


# Where a client decides on sampling, all are wanted here.
SETTINGS = {
    "trust": {"OTEL_PROPAGATORS": "tracecontext,baggage", "OTEL_TRACES_SAMPLER": "always_on"},
    "link": {"OTEL_PROPAGATORS": "tracecontext"},
    "ignore": {"OTEL_PROPAGATORS": "tracecontext,baggage"},
}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Callable[[str], Visit]:
    """A function that returns the visit of a service with this policy."""

    @cache
    def made(policy: str) -> Visit:
        parts: dict[str, Requests] = {"fuzz": partial(fuzz, policy)}
        if policy != "trust":  # both parts would be in the client's trace
            parts["context"] = context
        env = {"TELEMETRY_INCOMING_CONTEXT": policy, **SETTINGS[policy]}
        with visited(tmp_path_factory.mktemp("fuzzed"), migrated_sqlite, parts, **env) as (found, _):
            return found

    return made


@pytest.mark.parametrize("policy", SETTINGS)
def test_fuzzed_context_does_no_harm(fuzzed: Callable[[str], Visit], policy: str) -> None:
    found = fuzzed(policy)
    part = found.parts["fuzz"]
    answered = part.result.count(404)  # gunicorn itself answers 400 to what is no header
    assert set(part.result) <= {400, 404}
    assert answered > REQUESTS / 2
    spans = server_spans(part)
    assert len(spans) == len(logged(part, "userapi.access")) == answered
    assert all(size(item) <= 1024 for span in spans for item in [*span.attributes.values(), span.links])
    assert "canary" not in found.service.output
    assert not re.search(r"Traceback|exception|WARN.*opentelemetry", found.service.output)
    assert {line["logger"].partition(".")[0] for line in printed(found.service)} <= {
        "userapi",
        "django",
        "telemetry",
        "tests",
    }


def size(item: Any) -> int:
    return len(str(item))
