"""What is read of a request's context headers, whatever their size. The headers as a server hands them over."""

import logging
from collections.abc import Iterator, Sequence
from time import thread_time

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link

from telemetry.config import IncomingContext
from telemetry.recording.incoming import IncomingContextReader
from telemetry.recording.process import set_propagators
from tests.support.speed import is_within

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
POLICIES: tuple[IncomingContext, ...] = ("trust", "link", "ignore")


@pytest.fixture(autouse=True)
def _baggage_too() -> Iterator[None]:
    before = propagate.get_global_textmap()
    set_propagators(("tracecontext", "baggage"))
    yield
    propagate.set_global_textmap(before)


def read(policy: IncomingContext, headers: dict[str, str]) -> tuple[Context, Sequence[Link]]:
    return IncomingContextReader(policy).read(headers, Context()) or (Context(), ())


def test_baggage_is_read_up_to_64_entries() -> None:
    header = ",".join(f"key{number}=value" for number in range(100))
    context, _ = read("trust", {"HTTP_BAGGAGE": header})
    assert list(baggage.get_all(context)) == [f"key{number}" for number in range(64)]


def test_baggage_beyond_8192_bytes_is_not_read() -> None:
    context, _ = read("trust", {"HTTP_BAGGAGE": f"key={'x' * 4000},key2={'x' * 4200}"})
    assert baggage.get_all(context) == {}


def test_baggage_is_not_read_unless_asked_for() -> None:
    set_propagators(("tracecontext",))
    context, _ = read("trust", {"HTTP_BAGGAGE": "key=value"})
    assert baggage.get_all(context) == {}


def test_ignore_reads_neither_context_nor_baggage() -> None:
    headers = {"HTTP_BAGGAGE": "key=value", "HTTP_TRACEPARENT": PARENT}
    assert IncomingContextReader("ignore").read(headers, Context()) is None


def test_link_keeps_the_tracestate() -> None:
    context, (link,) = read("link", {"HTTP_TRACEPARENT": PARENT, "HTTP_TRACESTATE": "a=1,b=2"})
    assert not trace.get_current_span(context).get_span_context().is_valid
    assert link.context.trace_state.to_header() == "a=1,b=2"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("traceparent", "tracestate", "header"),
    [
        ("0" * 1_000_000, "a" * 1_000_000, "b" * 1_000_000),
        (PARENT + "-" * 1_000_000, "a=b," * 250_000, "c=d," * 250_000),
        ("01" + PARENT[2:] + "-" * 1_000_000, "a=" + " " * 1_000_000, "%" * 1_000_000),
        (PARENT, ",".join(f"k{n}=v" for n in range(100_000)), ",".join(f"k{n}=v" for n in range(100_000))),
        (PARENT, " \t" * 500_000, "e=" + "%20" * 300_000),
    ],
)
def test_oversized_header_is_dropped_quickly_and_quietly(
    policy: IncomingContext, traceparent: str, tracestate: str, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"HTTP_TRACEPARENT": traceparent, "HTTP_TRACESTATE": tracestate, "HTTP_BAGGAGE": header}
    started = thread_time()
    context, links = read(policy, headers)
    assert is_within(thread_time() - started, 0.5)
    states = [
        trace.get_current_span(context).get_span_context().trace_state,
        *(link.context.trace_state for link in links),
    ]
    assert [state.to_header() for state in states] == [""] * len(states)
    assert baggage.get_all(context) == {}
    assert caplog.records == []
